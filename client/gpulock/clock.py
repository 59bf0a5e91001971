"""The client's clock: seconds that only grow, at the pace of real time, suspend included; and its pauses."""

from __future__ import annotations

import time

from .record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


def now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Retry(NamedTuple):
    """How to look for a daemon that is away. Its `hello` says; these are its defaults."""

    interval: float = 2.0
    longest: float = 10.0
    exponential: bool = True

    def pauses(self) -> Iterator[float]:
        """Seconds to pause between tries: short ones first, since most daemons that are away are being restarted.

        They grow by half up to `interval`, so that it is found at most half as long after its return as it was
        away; and then stay there or, where they are `exponential`, go on doubling up to `longest`.
        """
        pause = min(0.05, self.interval)
        while True:
            yield pause
            if pause < self.interval:
                pause = min(1.5 * pause, self.interval)
            elif self.exponential:
                pause = min(2 * pause, max(self.longest, self.interval))
