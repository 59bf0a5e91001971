"""The versions on the disk: every one of them, whole or not at all, and there for the next daemon whatever happened."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from gpulockd.changes import versions as module
from gpulockd.changes.entries import Entry
from gpulockd.changes.files import Unwritable, replace_configuration
from gpulockd.changes.versions import Versions
from gpulockd.ports import Author
from gpulockd.wholefile import write

ANNA = Author("anna", 1001, 4711, "gpulockctl config apply")


def entry(how: str = "apply", outcome: str = "applied", reason: str = "") -> Entry:
    return Entry(1_700_000_000.0, how, outcome, ANNA, reason, changes=({"key": "http.port"},))


def told(versions: Versions) -> list[tuple[int | None, str]]:
    """From the first on: version and outcome."""
    entries, earlier = versions.page(10_000)
    assert earlier is None
    return [(each.version, each.outcome) for each in reversed(entries)]


def full(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "configurations"


def test_the_next_daemon_reads_what_was_kept(tmp_path: Path) -> None:
    kept = Versions(tmp_path)
    one = kept.keep(entry(reason="first"), b"# one\n")
    kept.keep(entry("start"), None)
    kept.note(entry("reload", "refused"))
    again = Versions(tmp_path)
    assert again.page(10) == kept.page(10)
    assert told(again) == [(1, "applied"), (2, "applied"), (None, "refused")]
    assert (again.content(1), again.content(2)) == (b"# one\n", None)
    assert again.entry_of(1) == one
    for absent in (0, 3):
        with pytest.raises(KeyError):
            again.content(absent)


def test_only_the_owner_reads_them(tmp_path: Path, directory: Path) -> None:
    kept = Versions(tmp_path)
    kept.keep(entry(), b"redis: {url: 'redis://:secret@h'}")
    kept.begin(entry(outcome="begun"), b"redis: {url: 'redis://:another@h'}")
    for path in [directory, *directory.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0


def test_every_one_is_kept_and_the_same_text_once(tmp_path: Path, directory: Path) -> None:
    kept = Versions(tmp_path)
    for number in range(1, 1001):
        kept.keep(entry(), b"%d" % (number % 3))
    assert told(Versions(tmp_path)) == [(number, "applied") for number in range(1, 1001)]
    assert [Versions(tmp_path).content(number) for number in (1, 500, 1000)] == [b"1", b"2", b"1"]
    assert len(list((directory / "texts").iterdir())) == 3


def test_a_text_is_as_old_as_the_last_version_that_has_it(tmp_path: Path, directory: Path) -> None:
    kept = Versions(tmp_path)
    kept.keep(entry(), b"one")
    (text,) = (directory / "texts").iterdir()
    os.utime(text, (0, 0))
    kept.keep(entry(), b"one")
    assert text.stat().st_mtime > 0


def test_the_history_comes_in_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Versions(tmp_path)
    for number in range(7):
        kept.keep(entry(), b"%d" % number)
    kept.begin(entry(outcome="begun"), b"the eighth")
    numbers, before = [], None
    while True:
        page, before = kept.page(3, before)
        numbers.append([each.version for each in page])
        if before is None:
            break
    assert numbers == [[8, 7, 6], [5, 4, 3], [2, 1]]
    page, before = kept.page(1)
    assert ([each.version for each in page], [each.version for each in kept.page(1, before)[0]]) == ([8], [7])
    monkeypatch.setattr(module, "PAGE_BYTES", 1)
    assert len(kept.page(100)[0]) == 2  # what is under way, and as much as is more than nothing


def test_a_start_reads_the_end_of_the_history_only(tmp_path: Path, directory: Path) -> None:
    kept = Versions(tmp_path)
    for number in range(3):
        kept.keep(entry(), b"%d" % number)
    with (directory / "history.jsonl").open("r+b") as file:
        file.write(b"?")  # nobody looks there
    again = Versions(tmp_path)
    assert again.current == kept.current
    assert again.keep(entry(), b"next").version == 4


def test_the_current_one_and_the_one_before(tmp_path: Path) -> None:
    kept = Versions(tmp_path)
    assert (kept.current, kept.before_current()) == (None, None)
    kept.keep(entry(), b"one")
    kept.keep(entry(), b"two")
    kept.keep(entry(outcome="set-aside"), b"edited")
    kept.note(entry(outcome="refused"))
    for each in (kept, Versions(tmp_path)):
        current, before = each.current, each.before_current()
        assert current is not None
        assert before is not None
        assert (current.version, before.version) == (2, 1)
    kept.keep(entry("rollback"), b"one")
    again = kept.before_current()
    assert again is not None
    assert again.version == 2


# What is under way.


@pytest.mark.parametrize("outcome", ["applied", "refused"])
def test_what_was_begun_is_settled(tmp_path: Path, outcome: str) -> None:
    kept = Versions(tmp_path)
    one = kept.keep(entry(), b"one")
    two = kept.begin(entry(outcome="begun"), b"two")
    assert (kept.current, kept.under_way) == (one, two)
    assert told(kept) == told(Versions(tmp_path)) == [(1, "applied"), (2, "begun")]
    kept.settle(outcome, "as it was")
    for each in (kept, Versions(tmp_path)):
        assert told(each) == [(1, "applied"), (2, outcome)]
        assert each.under_way is None
        assert each.page(1)[0][0].why == "as it was"
        assert each.current is not None
        assert each.current.version == (two if outcome == "applied" else one).version


def test_what_an_earlier_daemon_had_begun_can_be_settled_by_the_next(tmp_path: Path) -> None:
    Versions(tmp_path).begin(entry(outcome="begun"), b"one")
    again = Versions(tmp_path)
    again.settle("applied")
    assert told(Versions(tmp_path)) == [(1, "applied")]


def test_a_kill_between_its_line_and_its_end_tells_it_once(tmp_path: Path, directory: Path) -> None:
    kept = Versions(tmp_path)
    kept.begin(entry(outcome="begun"), b"one")
    begun = (directory / "begun.json").read_bytes()
    kept.settle("applied")
    for _ in range(2):
        (directory / "begun.json").write_bytes(begun)  # it was not removed yet, or the power was cut too soon for that
        assert told(Versions(tmp_path)) == told(kept)
        kept.keep(entry(), b"two")


# Disks.


def test_a_full_disk_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Versions(tmp_path)
    kept.keep(entry(), b"one")
    before = kept.page(10), kept.current
    for name in ("gpulockd.changes.versions.write", "gpulockd.changes.lines._write"):
        with monkeypatch.context() as patched:
            patched.setattr(name, full)
            with pytest.raises(OSError, match="No space left"):
                kept.keep(entry(), b"two")
    assert (kept.page(10), kept.current) == before
    assert kept.keep(entry(), b"two").version == 2


def test_what_came_of_it_is_written_when_there_is_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Versions(tmp_path)
    kept.begin(entry(outcome="begun"), b"one")
    with monkeypatch.context() as patched:
        patched.setattr("gpulockd.changes.lines._write", full)
        with pytest.raises(OSError, match="No space left"):
            kept.settle("applied")
        assert told(kept) == [(1, "applied")]  # it is, whatever the disk says
        assert told(Versions(tmp_path)) == [(1, "begun")]  # and the next daemon finds out by the file
    kept.keep(entry(), b"two")
    assert told(kept) == told(Versions(tmp_path)) == [(1, "applied"), (2, "applied")]


def test_the_same_refusal_every_minute_is_one_line(tmp_path: Path) -> None:
    kept = Versions(tmp_path)
    for pid in range(100):
        kept.note(Entry(float(pid), "reload", "refused", Author("root", 0, pid), why="no such file"))
    kept.note(Entry(0.0, "reload", "refused", Author("root", 0, 1), why="unknown key"))
    for _ in range(2):
        kept.note(entry("canary", reason="canary c1: 50 %"))
    assert [each.why or each.reason for each in reversed(kept.page(100)[0])] == [
        "no such file",
        "unknown key",
        "canary c1: 50 %",
        "canary c1: 50 %",
    ]


def test_a_line_that_a_disk_has_spoilt_is_passed_over(
    tmp_path: Path, directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept = Versions(tmp_path)
    for number in range(3):
        kept.keep(entry(), b"%d" % number)
    lines = (directory / "history.jsonl").read_bytes().splitlines(keepends=True)
    (directory / "history.jsonl").write_bytes(lines[0] + b"\0\0\0\n" + lines[2])
    assert told(Versions(tmp_path)) == [(1, "applied"), (3, "applied")]
    assert "at byte" in caplog.text


def test_a_text_that_a_disk_has_spoilt_is_not_applied_and_is_written_anew(tmp_path: Path, directory: Path) -> None:
    kept = Versions(tmp_path)
    kept.keep(entry(), b"one")
    (text,) = (directory / "texts").iterdir()
    text.write_bytes(b"o")
    with pytest.raises(KeyError):
        kept.content(1)
    kept.keep(entry(), b"one")
    assert (kept.content(1), kept.content(2)) == (b"one", b"one")


@pytest.mark.parametrize("content", ["", "{", "[]"])
def test_what_was_under_way_and_cannot_be_read(tmp_path: Path, directory: Path, content: str) -> None:
    Versions(tmp_path).keep(entry(), b"one")
    (directory / "begun.json").write_text(content)
    kept = Versions(tmp_path)
    assert (kept.under_way, told(kept)) == (None, [(1, "applied")])
    kept.keep(entry(), b"two")
    assert not (directory / "begun.json").exists()


# What an operator does by hand.


def test_lines_may_be_archived_and_texts_too(tmp_path: Path, directory: Path) -> None:
    kept = Versions(tmp_path)
    for number in range(10):
        kept.keep(entry(), b"%d" % number)
    history = directory / "history.jsonl"
    history.write_bytes(b"".join(history.read_bytes().splitlines(keepends=True)[6:]))
    kept.keep(entry(), b"ten")
    for each in (kept, Versions(tmp_path)):
        assert told(each) == [(number, "applied") for number in range(7, 12)]
        with pytest.raises(KeyError):
            each.content(3)


def test_it_can_be_read_without_a_daemon(tmp_path: Path, directory: Path) -> None:
    Versions(tmp_path).keep(entry(reason="films"), b"# one\n")
    (line,) = (directory / "history.jsonl").read_text().splitlines()
    plain = json.loads(line)
    assert (plain["version"], plain["author"]["user"], plain["reason"]) == (1, "anna", "films")
    assert (directory / "texts" / f"{plain['digest']}.yml").read_text() == "# one\n"


# Single files.


def test_a_file_is_replaced_with_its_mode_and_through_a_link(tmp_path: Path) -> None:
    real, link = tmp_path / "real.yml", tmp_path / "config.yml"
    real.write_bytes(b"old")
    real.chmod(0o644)
    link.symlink_to(real)
    replace_configuration(link, b"new")
    assert link.is_symlink()
    assert real.read_bytes() == b"new"
    assert stat.S_IMODE(real.stat().st_mode) == 0o644
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.yml", "real.yml"]


def test_what_cannot_be_written_leaves_the_old_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "config.yml").mkdir()
    with pytest.raises(Unwritable, match="cannot be replaced by uid") as caught:
        replace_configuration(tmp_path / "config.yml", b"new")
    assert "as root" in caught.value.hint
    assert [path.name for path in tmp_path.iterdir()] == ["config.yml"]


def test_a_write_that_fails_on_the_way_leaves_the_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write(path, b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write(path, b"new")
    assert path.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]
