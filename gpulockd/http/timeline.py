"""Locks that have ended, as the bars of a timeline: the latest of them, and as many as can be told apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

GRAIN = 10.0
"""Seconds, of which a timeline of some hours has about one for each of its points: locks that began and ended within
so many, one after the other on the same GPUs and in the same way, are one bar."""
MOST = 3000
"""Bars that are kept; the oldest go first."""


class Bar(TypedDict):
    """Some time of some GPUs that is over. `since` and `until` are wall clock, seconds since 1970."""

    id: int
    """One that has come before takes the place of the earlier."""
    gpus: list[str]
    locks: int
    """How many, where they are too short to be told apart."""
    lock: str
    """The last of them."""
    user: str
    """Empty: several."""
    task: str
    how: str
    by: str
    waited: float
    """How long the first of them waited before `since`."""
    since: float
    until: float


class Timeline:
    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._bars: dict[int, Bar] = {}
        """By id, the oldest first."""
        self._latest: dict[Sequence[str], Bar] = {}
        """By the GPUs."""
        self._changed: dict[int, Bar] = {}
        self._count = 0

    def add(self, bar: Bar) -> None:
        """Takes in a lock that has just ended: a bar whose `id` is not given yet."""
        gpus = tuple(bar["gpus"])
        before = self._latest.get(gpus)
        if before is None or not _are_one(before, bar):
            before = self._begin(gpus, bar)
        else:
            _join(before, bar)
        self._changed[before["id"]] = before

    def all(self) -> list[Bar]:
        return list(self._bars.values())

    def changes(self) -> list[Bar]:
        """What is new or longer since the last call."""
        changed, self._changed = self._changed, {}
        return list(changed.values())

    def _begin(self, gpus: tuple[str, ...], bar: Bar) -> Bar:
        self._count += 1
        bar["id"] = self._count
        self._bars[bar["id"]] = self._latest[gpus] = bar
        if len(self._bars) > self._most:
            oldest = self._bars.pop(next(iter(self._bars)))
            self._changed.pop(oldest["id"], None)
            if self._latest[tuple(oldest["gpus"])] is oldest:
                del self._latest[tuple(oldest["gpus"])]
        return bar


def _are_one(before: Bar, bar: Bar) -> bool:
    return before["how"] == bar["how"] and before["since"] <= bar["since"] and bar["until"] - before["since"] <= GRAIN


def _join(before: Bar, bar: Bar) -> None:
    before["locks"] += bar["locks"]
    before["lock"], before["by"], before["until"] = bar["lock"], bar["by"], bar["until"]
    if before["user"] != bar["user"]:
        before["user"] = ""
    if before["task"] != bar["task"]:
        before["task"] = ""
