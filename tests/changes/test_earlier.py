"""A directory that a daemon of the layout before has left, as it left it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gpulockd.changes import earlier
from gpulockd.changes.entries import Entry, digest_of, entry_of
from gpulockd.changes.versions import Versions
from gpulockd.wholefile import write

AUTHOR = {"user": "anna", "uid": 1001, "pid": 4711, "command": "gpulockctl config apply"}
TEXTS = {7: b"# seven\n", 8: b"# eight\n", 9: b"# seven\n"}


def old(version: int | None, outcome: str = "applied", digest: str = "") -> dict[str, Any]:
    return {
        "at": 1_700_000_000.0,
        "how": "apply",
        "outcome": outcome,
        "author": AUTHOR,
        "reason": "films",
        "version": version,
        "digest": digest,
        "changes": [{"key": "http.port", "before": 1, "after": 2, "restart": True}],
        "why": "",
    }


def story(*, last: str = "applied") -> list[dict[str, Any]]:
    """The text of version 6 was removed when there were too many."""
    versions = {6: "0" * 64, **{number: digest_of(text) for number, text in TEXTS.items()}}
    entries = [old(number, digest=digest) for number, digest in versions.items()]
    return [*entries[:-1], old(None, "refused"), {**entries[-1], "outcome": last}]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    directory = tmp_path / "configurations"
    directory.mkdir()
    for number, text in TEXTS.items():
        (directory / f"{number:06}.yml").write_bytes(text)
    (directory / "history.json").write_text(json.dumps({"schema_version": 1, "entries": story()}))
    return directory


def told(versions: Versions) -> list[tuple[int | None, str]]:
    entries, earlier_ones = versions.page(100)
    assert earlier_ones is None
    return [(entry.version, entry.outcome) for entry in reversed(entries)]


WHOLE = [(6, "applied"), (7, "applied"), (8, "applied"), (None, "refused"), (9, "applied")]


def check(versions: Versions) -> None:
    assert told(versions)[:5] == WHOLE
    assert {number: versions.content(number) for number in TEXTS} == TEXTS
    with pytest.raises(KeyError):
        versions.content(6)
    assert versions.current is not None
    assert (versions.current.version, versions.current.reason, versions.current.author.pid) == (9, "films", 4711)


def test_its_versions_and_its_history_are_there(directory: Path) -> None:
    check(Versions(directory.parent))
    assert sorted(path.name for path in directory.iterdir()) == ["history.jsonl", "texts"]
    assert len(list((directory / "texts").iterdir())) == 2
    check(Versions(directory.parent))


def test_what_was_under_way_is_still_to_be_settled(directory: Path) -> None:
    (directory / "history.json").write_text(json.dumps({"entries": story(last="begun")}))
    versions = Versions(directory.parent)
    assert versions.under_way is not None
    assert told(versions) == [*WHOLE[:-1], (9, "begun")]
    versions.settle("applied")
    check(versions)
    check(Versions(directory.parent))


@pytest.mark.parametrize("steps", range(5))
def test_a_kill_on_the_way_costs_nothing(directory: Path, monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    left = steps

    def step(action: Any) -> Any:
        def limited(*arguments: Any, **options: Any) -> Any:
            nonlocal left
            if left == 0:
                raise KeyboardInterrupt
            left -= 1
            return action(*arguments, **options)

        return limited

    with monkeypatch.context() as patched:
        patched.setattr(earlier, "write", step(write))
        patched.setattr(Path, "unlink", step(Path.unlink))
        with pytest.raises(KeyboardInterrupt):
            Versions(directory.parent)
    check(Versions(directory.parent))
    assert sorted(path.name for path in directory.iterdir()) == ["history.jsonl", "texts"]


def entry() -> Entry:
    return entry_of(old(None))


def test_a_disk_that_is_full_leaves_it_for_the_next_change(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(earlier, "write", full)
        versions = Versions(directory.parent)
        assert told(versions) == []
        with pytest.raises(OSError, match="No space left"):
            versions.keep(entry(), b"# ten\n")
    assert versions.keep(entry(), b"# ten\n").version == 10
    assert told(versions) == [*WHOLE, (10, "applied")]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"entries": [{"how": "apply"}]}', '{"entries": 7}'])
def test_one_that_cannot_be_read_is_set_aside(directory: Path, content: str) -> None:
    (directory / "history.json").write_text(content)
    versions = Versions(directory.parent)
    assert told(versions) == []
    assert (directory / "history.unreadable").read_text() == content
    assert (directory / "000007.yml").read_bytes() == TEXTS[7]
    assert versions.keep(entry(), b"one").version == 1
