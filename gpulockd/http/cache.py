"""What was answered a moment ago, kept so that a thousand who ask the same cost as much as one."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

MOST = 64
"""Answers that are kept: who asks for ever other things is answered all the same, and fills no memory."""
Value = TypeVar("Value")


class Cache(Generic[Value]):
    def __init__(self, max_age: float, clock: Callable[[], float]) -> None:
        """`max_age` is in seconds of `clock`."""
        self._max_age = max_age
        self._clock = clock
        self._since = 0.0
        self._kept: dict[Hashable, Value] = {}

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """What `make` returned for this key not longer than `max_age` ago, or returns now."""
        now = self._clock()
        if now - self._since >= self._max_age:
            self._kept.clear()
            self._since = now
        if key in self._kept:
            return self._kept[key]
        value = make()
        if len(self._kept) < MOST:
            self._kept[key] = value
        return value
