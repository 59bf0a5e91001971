"""Virtual time: everything that is going to happen stands in one heap, and nothing happens outside of it.

When nothing is left to do at a moment the clock jumps to the next one, as trio's autojump clock does, so a simulated
hour costs what happens in it. Things are drawn apart by random delays; of those due at one moment, the order in
which they were put there decides, never a hash or an address.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from typing import Any

MOMENT = 0.0002
"""Seconds within which a process that is not held up gets the processor."""


class Schedule:
    """The heap, the clock and the dice of one world."""

    def __init__(self, seed: int) -> None:
        self.now = 1000.0
        self.chance = random.Random(seed)
        self.happenings = 0
        """How many things have happened."""
        self._heap: list[tuple[float, int, Callable[..., object], tuple[Any, ...]]] = []
        self._number = 0

    def at(self, when: float, happening: Callable[..., object], *arguments: Any) -> None:
        """Has `happening` called at `when`; what is in the past by then happens next."""
        self._number += 1
        heapq.heappush(self._heap, (max(self.now, when), self._number, happening, arguments))

    def after(self, delay: float, happening: Callable[..., object], *arguments: Any) -> None:
        self.at(self.now + delay, happening, *arguments)

    def soon(self, happening: Callable[..., object], *arguments: Any) -> None:
        """A moment later: others may come first."""
        self.at(self.now + MOMENT * self.chance.random(), happening, *arguments)

    def __bool__(self) -> bool:
        """Whether anything is going to happen any more."""
        return bool(self._heap)

    def step(self) -> None:
        """Lets the next thing happen."""
        self.now, _, happening, arguments = heapq.heappop(self._heap)
        self.happenings += 1
        happening(*arguments)

    def odds(self, probability: float) -> bool:
        """Throws the dice; one that cannot fall is not thrown."""
        return probability > 0.0 and self.chance.random() < probability
