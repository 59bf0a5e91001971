"""How long a waiting `acquire` bears with a daemon that is away. Pure: the shells say what time it is."""

from __future__ import annotations

import math

from .clock import Retry
from .errors import LockTimeout

ANSWER_TIMEOUT = 10.0
"""Seconds within which a daemon answers what needs no waiting."""
UNAVAILABLE_TIMEOUT = 5.0
"""Seconds for which a daemon may be away before a call gives up: enough for its restart."""
LEAST = 0.001
"""Seconds that a request waits which has waited out its time on the way to another daemon."""
SLACK = 5.0
"""Seconds past the wait after which a daemon that keeps its connection and says nothing is given up."""


_UNTOLD = Retry()
"""As long as no daemon has said how it wants to be looked for."""


class Patience:
    """One wait: until when for the lock, and until when for the daemon."""

    def __init__(self, wait: float | None, unavailable_timeout: float, moment: float) -> None:
        """`wait`: the request's own, None where the daemon decides; `moment`: now."""
        self._began = moment
        self._end = None if wait is None else moment + wait
        self._daemon_until = moment + (unavailable_timeout if wait is None else min(wait, unavailable_timeout))
        self._pauses = _UNTOLD.pauses()
        self._at_most = math.inf

    @property
    def until(self) -> float | None:
        """When to stop reading: the daemon itself ends the wait, so this comes after it."""
        return None if self._end is None else self._end + SLACK

    def left(self, moment: float) -> float | None:
        """Seconds that the request may still wait. Not 0 unless it was 0 before: that would ask not to wait at all,
        and be answered `busy` where the wait was over."""
        return None if self._end is None else max(self._end - moment, min(LEAST, self._end - self._began))

    def reached(self, retry: Retry) -> None:
        """Somebody accepts connections: if this one breaks, the daemon is being restarted, not gone for long."""
        self._at_most = retry.interval

    def heard(self, moment: float, max_wait: float, retry: Retry, grace: float = 0.0) -> None:
        """The daemon was there, and went away: now it is waited for as long as the request may wait.

        `max_wait` stands in for a wait that was left to the daemon; `retry` is what it said of looking for it, and
        `grace` for how many seconds the next one keeps the request's place.
        """
        self._daemon_until = moment + max_wait if self._end is None else self._end
        self._pauses = retry.pauses(grace)

    def pause(self, moment: float) -> float | None:
        """Seconds until the next try to reach it; None: it has been away for too long."""
        left, at_most = self._daemon_until - moment, self._at_most
        self._at_most = math.inf
        return min(next(self._pauses), at_most, left) if left > 0 else None

    def silence(self, moment: float) -> LockTimeout:
        """The error for a daemon that has said nothing by `until`."""
        return LockTimeout(
            f"the daemon has not answered within {moment - self._began:.1f} s",
            hint="it hangs or is stopped: systemctl status gpulockd",
        )
