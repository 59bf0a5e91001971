"""The versions on the disk: whole or not at all, bounded, and readable by the next daemon whatever happened."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from gpulockd.changes import versions as module
from gpulockd.changes.files import Unwritable, replace_configuration
from gpulockd.changes.versions import Entry, Versions
from gpulockd.ports import Author
from gpulockd.wholefile import write

ANNA = Author("anna", 1001, 4711, "gpulockctl config apply")


def entry(how: str = "apply", outcome: str = "applied", reason: str = "") -> Entry:
    return Entry(1_700_000_000.0, how, outcome, ANNA, reason, changes=({"key": "http.port"},))


def test_the_next_daemon_reads_what_was_kept(tmp_path: Path) -> None:
    kept = Versions(tmp_path)
    one = kept.keep(entry(reason="first"), b"# one\n")
    kept.keep(entry("start"), None)
    kept.note(entry("reload", "refused"))
    again = Versions(tmp_path)
    assert again.entries == kept.entries
    assert [each.version for each in again.entries] == [1, 2, None]
    assert (again.content(1), again.content(2)) == (b"# one\n", None)
    assert again.entry_of(1) == one
    with pytest.raises(KeyError):
        again.content(3)


def test_only_the_owner_reads_them(tmp_path: Path) -> None:
    Versions(tmp_path).keep(entry(), b"redis: {url: 'redis://:secret@h'}")
    for path in [tmp_path / "configurations", *(tmp_path / "configurations").iterdir()]:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0


def test_the_current_one_and_the_one_before(tmp_path: Path) -> None:
    kept = Versions(tmp_path)
    assert (kept.current, kept.before_current()) == (None, None)
    kept.keep(entry(), b"one")
    kept.keep(entry(), b"two")
    kept.keep(entry(outcome="set-aside"), b"edited")
    kept.note(entry(outcome="refused"))
    current, before = kept.current, kept.before_current()
    assert current is not None
    assert before is not None
    assert (current.version, before.version) == (2, 1)
    kept.keep(entry("rollback"), b"one")
    again = kept.before_current()
    assert again is not None
    assert again.version == 2


def test_what_was_begun_is_settled(tmp_path: Path) -> None:
    kept = Versions(tmp_path)
    kept.keep(entry(outcome="begun"), b"one")
    kept.settle(1, "refused", "the disk is full")
    assert [(each.outcome, each.why) for each in Versions(tmp_path).entries] == [("refused", "the disk is full")]


def test_both_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "VERSIONS_KEPT", 3)
    monkeypatch.setattr(module, "ENTRIES_KEPT", 5)
    kept = Versions(tmp_path)
    for number in range(8):
        kept.keep(entry(), f"{number}".encode())
    assert sorted(path.name for path in (tmp_path / "configurations").glob("*.yml")) == [
        "000006.yml",
        "000007.yml",
        "000008.yml",
    ]
    assert [each.version for each in kept.entries] == [4, 5, 6, 7, 8]
    with pytest.raises(KeyError):
        kept.content(4)


def test_a_number_is_never_given_twice(tmp_path: Path) -> None:
    Versions(tmp_path).keep(entry(), b"one")
    (tmp_path / "configurations" / "000009.yml").write_bytes(b"from a story that is lost")
    assert Versions(tmp_path).keep(entry(), b"two").version == 10


@pytest.mark.parametrize("story", ["", "{", "[]", '{"entries": [{"how": "apply"}]}'])
def test_a_story_that_cannot_be_read_is_set_aside(tmp_path: Path, story: str) -> None:
    (tmp_path / "configurations").mkdir()
    (tmp_path / "configurations" / "history.json").write_text(story)
    kept = Versions(tmp_path)
    assert kept.entries == ()
    assert (tmp_path / "configurations" / "history.unreadable").read_text() == story
    assert kept.keep(entry(), b"one").version == 1


def test_a_later_daemons_fields_are_passed_over(tmp_path: Path) -> None:
    Versions(tmp_path).keep(entry(), b"one")
    path = tmp_path / "configurations" / "history.json"
    story = json.loads(path.read_text())
    story["entries"][0]["mood"] = "calm"
    path.write_text(json.dumps(story))
    assert Versions(tmp_path).entries[0].version == 1


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
