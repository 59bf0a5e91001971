"""Every timer of the daemon, in one heap."""

from __future__ import annotations

import enum
import heapq
from collections.abc import Iterator


class Alarm(enum.IntEnum):
    """What a deadline is for. Of alarms due at the same moment the smaller goes first: what forbids goes before
    what allows."""

    LEASE_DEGRADED = 0
    LEASE_LATE = 1
    AGE = 2
    SILENCE = 3
    RECALL_STEP = 4
    REATTACH_END = 5
    WAIT_END = 6
    PLACE_END = 7
    KEPT_FREE_END = 8
    LEASE_RENEW = 9
    LEASE_CLAIM = 10
    QUARANTINE_RECHECK = 11
    POSITIONS = 12
    TURNED_AWAY = 13


Deadline = tuple[Alarm, str]
"""What it is for, and the id of what it is about (empty where there is only one)."""


class Deadlines:
    """A heap with replacement: setting a deadline again moves it. All operations are logarithmic, amortised."""

    __slots__ = ("_heap", "_times")

    def __init__(self) -> None:
        self._times: dict[Deadline, float] = {}
        self._heap: list[tuple[float, Deadline]] = []

    def set(self, alarm: Alarm, subject: str, at: float) -> None:
        """Rings at `at`; infinity: never."""
        deadline = (alarm, subject)
        if at == float("inf"):
            self._times.pop(deadline, None)
            return
        self._times[deadline] = at
        heapq.heappush(self._heap, (at, deadline))
        if len(self._heap) > 64 + 2 * len(self._times):
            self._heap = [(at, deadline) for deadline, at in self._times.items()]
            heapq.heapify(self._heap)

    def clear(self, alarm: Alarm, subject: str = "") -> None:
        self._times.pop((alarm, subject), None)

    def get(self, alarm: Alarm, subject: str = "") -> float | None:
        return self._times.get((alarm, subject))

    def next(self) -> float | None:
        """When the earliest rings."""
        heap = self._heap
        while heap and self._times.get(heap[0][1]) != heap[0][0]:
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    def due(self, now: float) -> Iterator[Deadline]:
        """Those whose time has come, each taken out before it is handed over. Setting others meanwhile is fine."""
        while (at := self.next()) is not None and at <= now:
            deadline = heapq.heappop(self._heap)[1]
            del self._times[deadline]
            yield deadline

    def __len__(self) -> int:
        return len(self._times)
