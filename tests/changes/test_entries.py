"""A line of the history, on the disk and back."""

from __future__ import annotations

import dataclasses

import pytest

from gpulockd.changes.entries import Entry, entry_in
from gpulockd.ports import Author

ENTRY = Entry(1.5, "apply", "applied", Author("anna", 1001, 7, "ctl"), "长任务", 3, "ab", ({"key": "http.port"},), "so")


def test_it_is_read_as_it_was_written() -> None:
    assert entry_in(ENTRY.line()) == ENTRY
    assert "长任务".encode() in ENTRY.line()


def test_what_is_no_text_comes_back_too() -> None:
    odd = dataclasses.replace(ENTRY, reason="two\nlines", author=Author("anna", command="ctl \udcff"))
    assert b"\n" not in odd.line()
    assert entry_in(odd.line()) == odd


def test_what_a_later_daemon_adds_is_passed_over() -> None:
    assert entry_in(ENTRY.line().replace(b'{"at"', b'{"mood": "calm", "at"')) == ENTRY


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b"7", b"{}", b'{"author": 7}', b"\xff", b'{"how": "apply"}'])
def test_what_is_no_entry(line: bytes) -> None:
    with pytest.raises(ValueError):  # each has its own words
        entry_in(line)


def test_a_version_is_a_number() -> None:
    with pytest.raises(ValueError, match="not the number"):
        entry_in(ENTRY.line().replace(b'"version": 3', b'"version": "3"'))


def test_it_says_again_what_another_process_said_later() -> None:
    later = dataclasses.replace(ENTRY, at=9.0, author=dataclasses.replace(ENTRY.author, pid=9))
    assert later.says_again(ENTRY)
    assert not dataclasses.replace(later, why="another").says_again(ENTRY)
    assert not dataclasses.replace(later, author=Author("bert", 1002)).says_again(ENTRY)
