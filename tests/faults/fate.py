"""What befalls a worker at a moment that no clock could aim at: right before, in the middle of, or after it sends.

    Fate("release", "half", "daemon").arm(strike)

has `strike` called when half of the first `release` is on its way.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from gpulock.link import Link

Victim = Literal["worker", "daemon", "both"]
Moment = Literal["before", "half", "after"]
METHODS = ("hello", "acquire", "beat", "release")
LONGEST_DELAY = 0.0005
"""Seconds: what a daemon takes to read, commit and answer is in there."""


@dataclass(frozen=True, slots=True)
class Fate:
    method: str
    """The request that it goes with."""
    moment: Moment
    victim: Victim
    skip: int = 0
    """How many such requests pass unharmed."""
    delay: float = 0.0

    @classmethod
    def draw(cls, chance: random.Random) -> Fate:
        return cls(
            chance.choice(METHODS),
            chance.choice(("before", "half", "after", "after", "after")),
            chance.choice(("worker", "daemon", "both")),
            skip=chance.choice((0, 0, 1, 3)),
            delay=chance.choice((0.0, chance.uniform(0, LONGEST_DELAY))),
        )

    def arm(self, strike: Callable[[Victim, int], object]) -> None:
        """Lies in wait in this process, once. `strike` is given the socket's descriptor, too."""
        sound, left = Link.send, self.skip

        def send(link: Link, data: bytes) -> None:
            nonlocal left
            met = self.method.encode() in data
            if not met or left > 0:
                left -= met
                sound(link, data)
                return
            Link.send = sound  # type: ignore[method-assign]
            if self.moment == "half":
                sound(link, data[: len(data) // 2])
            elif self.moment == "after":
                sound(link, data)
            _spin(self.delay)
            strike(self.victim, link.fileno())
            # Whoever still lives goes on as if nothing had happened.
            if self.moment == "half":
                sound(link, data[len(data) // 2 :])
            elif self.moment == "before":
                sound(link, data)

        Link.send = send  # type: ignore[method-assign, assignment]


def _spin(seconds: float) -> None:
    """A sleep would not wake that soon."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass
