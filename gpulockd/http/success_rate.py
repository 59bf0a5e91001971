"""How many of the last hour's attempts succeeded, from two counters that are looked at once a minute."""

from __future__ import annotations

from collections import deque

WINDOW = 3600.0
"""Seconds that count as recent."""
STEP = 60.0
"""Seconds between two looks at the counters."""


class SuccessRate:
    def __init__(self) -> None:
        self._marks: deque[tuple[float, int, int]] = deque([(-WINDOW, 0, 0)])
        """When, and what the counters were then; the first is from the beginning of the window or before."""

    def note(self, now: float, succeeded: int, attempted: int) -> None:
        """`now` never falls; more often than once a minute costs a comparison."""
        if now - self._marks[-1][0] < STEP:
            return
        self._marks.append((now, succeeded, attempted))
        while len(self._marks) > 1 and self._marks[1][0] <= now - WINDOW:
            self._marks.popleft()

    def recent(self, succeeded: int, attempted: int) -> float:
        """The share of successes since the window began; 1 where nothing was attempted."""
        _, before, tried = self._marks[0]
        return (succeeded - before) / (attempted - tried) if attempted > tried else 1.0
