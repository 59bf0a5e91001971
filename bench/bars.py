"""What the lock has to show: the bars, as data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bench.contenders import FLOOR, GPULOCK
from bench.placement import Placement


@dataclass(frozen=True, slots=True)
class Bar:
    """`metric` of `contender`, or its ratio to the same of `against`, is at least or at most `limit`."""

    text: str
    work: str
    case: str
    metric: str
    sense: Literal["at least", "at most"]
    limit: float
    against: str | None = None
    placement: Placement = "free"
    unit: str = ""
    loose: float | None = None
    """The limit in the quick run, which a noisy machine must keep too; None: not judged there."""
    contender: str = GPULOCK


_ONE = "one client"
_EIGHT = "8 processes, hold 0 ms"

# fmt: off
BARS: Sequence[Bar] = (
    Bar("cycles a second against redis-py",
        "uncontended", _ONE, "cycles_per_s", "at least", 3.0, "redis-py", loose=0.2),
    Bar("cycles a second against the floor",
        "uncontended", _ONE, "cycles_per_s", "at least", 1.0, FLOOR, loose=0.04),
    Bar("cycles a second against the floor, on one core",
        "uncontended", _ONE, "cycles_per_s", "at least", 0.5, FLOOR, "one core", loose=0.04),
    Bar("p99 of a cycle against its p50", "uncontended", _ONE, "tail", "at most", 5.0),
    Bar("p99 of a cycle against its p50, on one core", "uncontended", _ONE, "tail", "at most", 5.0, None, "one core"),
)
