"""The client's clock: seconds that only grow, at the pace of real time, suspend included."""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


def now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def backoff(first: float = 0.05, longest: float = 2.0) -> Iterator[float]:
    """Seconds to pause between tries to reach a daemon that is away, up to `longest`.

    They grow by half, so that it is found again at most half as long after its return as it was away.
    """
    pause = first
    while True:
        yield pause
        pause = min(1.5 * pause, longest)
