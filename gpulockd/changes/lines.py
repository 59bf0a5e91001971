"""A file of lines that only grows. One process adds to it, a line at a time; whoever reads begins at its end, and reads
no more of it than it needs."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ..wholefile import OWN, sync

BLOCK = 64 * 1024
"""Bytes that are read at once, going backwards."""


class Line(NamedTuple):
    text: bytes
    """Without its end."""
    begins: int
    """Its place in the file."""
    ends: int
    """Where the next one begins."""


class Lines:
    """The rest of a line that a kill, a power cut or a full disk broke off is none: nobody was told of it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def append(self, text: bytes) -> None:
        """Adds a line and forces it to the disk. Raises `OSError`, and then there is no such line."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, OWN)
        try:
            end = _end_of_last(descriptor)
            os.ftruncate(descriptor, end)
            try:
                _write(descriptor, text + b"\n", end)
                os.fsync(descriptor)
            except OSError:
                with contextlib.suppress(OSError):
                    os.ftruncate(descriptor, end)
                raise
        finally:
            os.close(descriptor)
        if end == 0:
            sync(self._path.parent)

    def backwards(self, before: int | None = None) -> Iterator[Line]:
        """The last one first; `before`: only those that end by that place. Raises `OSError`; where there is no file,
        there are no lines."""
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        try:
            yield from _backwards(descriptor, before)
        finally:
            os.close(descriptor)


def _backwards(descriptor: int, before: int | None) -> Iterator[Line]:
    size = os.fstat(descriptor).st_size
    begins = size if before is None else min(before, size)
    held = b""  # what was read and not told yet, up to the end of a line
    while begins > 0:
        block = min(BLOCK, begins)
        begins -= block
        held = os.pread(descriptor, block, begins) + held
        held = held[: held.rfind(b"\n") + 1]
        # The first of them may begin before this block: it is held back, unless this is the beginning of the file.
        told = 0 if begins == 0 else held.find(b"\n") + 1
        ends = begins + len(held)
        for text in reversed(held[told:].split(b"\n")[:-1]):
            yield Line(text, ends - len(text) - 1, ends)
            ends -= len(text) + 1
        held = held[:told]


def _end_of_last(descriptor: int) -> int:
    """Where the last whole line ends."""
    return next((line.ends for line in _backwards(descriptor, None)), 0)


def _write(descriptor: int, content: bytes, at: int) -> None:
    """All of it: a disk that gets full takes a part at first."""
    rest = memoryview(content)
    while rest:
        written = os.pwrite(descriptor, rest, at)
        rest, at = rest[written:], at + written
