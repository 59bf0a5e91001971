"""A file of lines: what was added is there, what was broken off is not, and little of it is read."""

from __future__ import annotations

import os
import stat
from itertools import islice
from pathlib import Path

import pytest

from gpulockd.changes import lines as module
from gpulockd.changes.lines import Lines


def texts(path: Path, before: int | None = None) -> list[bytes]:
    return [line.text for line in Lines(path).backwards(before)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lines"


def test_where_there_is_no_file_there_are_no_lines(path: Path) -> None:
    assert texts(path) == []
    assert not path.exists()


def test_lines_are_read_from_the_last_to_the_first(path: Path) -> None:
    for number in range(3):
        Lines(path).append(b"line %d" % number)
    assert texts(path) == [b"line 2", b"line 1", b"line 0"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("block", [1, 2, 3, 7, 1024])
def test_wherever_a_block_ends(path: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(module, "BLOCK", block)
    kept = [b"one", b"", b"a longer one", b"x", b"\r \xe2\x80\xa8 no end of a line"]
    for text in kept:
        Lines(path).append(text)
    assert texts(path) == kept[::-1]
    content = path.read_bytes()
    for line in Lines(path).backwards():
        assert content[line.begins : line.ends] == line.text + b"\n"
        assert [line.text, *texts(path, line.begins)] == texts(path, line.ends)


def test_a_line_that_was_broken_off_is_none_and_is_gone_with_the_next(path: Path) -> None:
    path.write_bytes(b"one\ntwo\nthr")
    assert texts(path) == [b"two", b"one"]
    Lines(path).append(b"three")
    assert path.read_bytes() == b"one\ntwo\nthree\n"
    path.write_bytes(b"nothing else")
    assert texts(path) == []
    Lines(path).append(b"one")
    assert path.read_bytes() == b"one\n"


def test_who_reads_meanwhile_reads_what_was_there(path: Path) -> None:
    Lines(path).append(b"one")
    reading = Lines(path).backwards()
    assert next(reading).text == b"one"
    Lines(path).append(b"two")
    assert list(reading) == []


def test_a_disk_that_gets_full_in_the_middle_of_a_line(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Lines(path).append(b"one")
    pwrite = os.pwrite
    room = 5

    def little(descriptor: int, content: memoryview, at: int) -> int:
        nonlocal room
        if not room:
            raise OSError(28, "No space left on device")
        written = pwrite(descriptor, content[: min(3, room)], at)
        room -= written
        return written

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", little)
        with pytest.raises(OSError, match="No space left"):
            Lines(path).append(b"a line of some length")
        assert path.read_bytes() == b"one\n"
        room = 100
        Lines(path).append(b"a line of some length")  # a few bytes at a time
    assert texts(path) == [b"a line of some length", b"one"]


def test_the_end_of_a_long_file_is_read_without_the_rest(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_bytes(b"".join(b"line %d\n" % number for number in range(200_000)))
    read = 0
    pread = os.pread

    def counted(descriptor: int, length: int, at: int) -> bytes:
        nonlocal read
        read += length
        return pread(descriptor, length, at)

    monkeypatch.setattr(os, "pread", counted)
    assert [line.text for line in islice(Lines(path).backwards(), 2)] == [b"line 199999", b"line 199998"]
    Lines(path).append(b"the next")
    assert read == 2 * module.BLOCK
