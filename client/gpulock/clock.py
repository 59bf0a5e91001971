"""The client's clock: seconds that only grow, at the pace of real time, suspend included."""

from __future__ import annotations

import time


def now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def backoff(first: float = 0.05, longest: float = 2.0) -> Iterator[float]:
    """Seconds to pause between tries to reach a daemon that is away: doubling, up to `longest`."""
    pause = first
    while True:
        yield pause
        pause = min(2 * pause, longest)


TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
