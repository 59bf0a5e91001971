"""Decisions from bytes: the same bytes decide the same, and whoever changes one byte changes little.

So a fuzzer that only knows bytes writes messages, and one that follows the coverage finds its way through them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Choices:
    """Takes its decisions from `data`, one or more bytes for each; the first of everything once that is used up."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        """Bytes that have not decided anything yet."""
        return len(self._data) - self._at

    def number(self, limit: int) -> int:
        """From 0 to `limit` - 1."""
        size = 1 if limit <= 1 << 8 else 2 if limit <= 1 << 16 else 8
        return int.from_bytes(self.raw(size), "little") % limit

    def one_of(self, things: Sequence[T]) -> T:
        return things[self.number(len(things))]

    def raw(self, size: int) -> bytes:
        """The next bytes as they are; fewer than `size` at the end."""
        taken = self._data[self._at : self._at + size]
        self._at += len(taken)
        return taken
