"""The client's clock: seconds that only grow, at the pace of real time, suspend included; and its pauses."""

from __future__ import annotations

import time

from .record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


def now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


SOON = 0.5
"""Seconds: the longest pause while the daemon that comes next keeps something for us, and from everybody else."""


class Retry(NamedTuple):
    """How to look for a daemon that is away. Its `hello` says; these are its defaults."""

    interval: float = 2.0
    longest: float = 10.0
    exponential: bool = True

    def pauses(self, kept_for: float = 0.0) -> Iterator[float]:
        """Seconds to pause between tries: short ones first, since most daemons that are away are being restarted.

        They grow by half up to `interval`, so that it is found at most half as long after its return as it was
        away; and then stay there or, where they are `exponential`, go on doubling up to `longest`. For the first
        `kept_for` seconds, for which a lock or a place is kept, they grow no longer than `SOON`.
        """
        pause, paused = min(0.05, self.interval), 0.0
        while True:
            yield pause
            paused += pause
            if paused < kept_for and 1.5 * pause > SOON:
                pause = min(SOON, self.interval)
            elif pause < self.interval:
                pause = min(1.5 * pause, self.interval)
            elif self.exponential:
                pause = min(2 * pause, max(self.longest, self.interval))
