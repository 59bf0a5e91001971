"""A distribution in buckets. To observe a value, as every grant does, is a search in a tuple and two additions."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence


class Histogram:
    """`bounds` are the upper ends of the buckets, rising; a last one without an end is added."""

    __slots__ = ("_counts", "bounds", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.total = 0.0
        """The sum of all values."""
        self._counts = [0] * (len(self.bounds) + 1)

    def observe(self, value: float) -> None:
        """A value that equals a bound belongs below it (`le`)."""
        self._counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    @property
    def count(self) -> int:
        return sum(self._counts)

    @property
    def mean(self) -> float:
        """0 where nothing was observed."""
        return self.total / self.count if self.count else 0.0

    def buckets(self) -> list[tuple[str, float]]:
        """Bound and number of the values up to it, as Prometheus has them: each bucket includes those before."""
        reached, found = 0, []
        for bound, count in zip((*map(_text, self.bounds), "+Inf"), self._counts, strict=True):
            reached += count
            found.append((bound, float(reached)))
        return found


def _text(bound: float) -> str:
    return repr(float(bound))
