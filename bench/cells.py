"""What is measured, as data: a cell is one contender at one task; a sample is what one round of it gave."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.placement import Placement
from bench.stage import Stage

Metrics = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Cell:
    case: str
    """Which variant of the work, such as `8 processes, hold 5 ms`."""
    contender: str
    measure: Callable[[], Metrics]
    placement: Placement = "free"
    rounds: int | None = None
    """In how many of the rounds; None: in all. For what takes long and says little."""


@dataclass(frozen=True, slots=True)
class Sample:
    work: str
    case: str
    placement: Placement
    contender: str
    round: int
    yardstick: float
    """The ping-pong's round trip just before, in microseconds."""
    noise: float
    """Cores that others used meanwhile."""
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of everything."""

    name: str
    rounds: int
    seconds: float
    """Of a window in which as much as possible is done."""
    yardstick: float
    """Seconds of ping-pong before each measurement."""
    patience: float
    """Seconds, in all, to wait for a quiet machine and to repeat what was disturbed."""
    full: bool
    """Whether what takes minutes is done too, and the peers that need another server."""


@dataclass(frozen=True, slots=True)
class Work:
    """`cells` starts what it needs on the stage. `gpus`: how many the stage's daemon simulates."""

    name: str
    title: str
    cells: Callable[[Stage, Plan, Absences], Iterable[Cell]]
    lead: str
    """The metric that is set against the floor's."""
    gpus: int = 1


@dataclass(slots=True)
class Absences:
    """Who could not be compared, and why: said loudly in the report."""

    reasons: dict[str, str] = field(default_factory=dict)

    def note(self, who: str, why: object) -> None:
        """Only the first reason is kept, on one line."""
        self.reasons.setdefault(who, " ".join(str(why).split()))


@dataclass(slots=True)
class Run:
    """All that one run gave; its JSON is what a report is made from."""

    machine: dict[str, Any]
    command: str
    plan: str
    absences: dict[str, str]
    samples: list[Sample]

    def values(self, work: str, case: str, placement: str, contender: str, metric: str) -> dict[int, float]:
        """By round."""
        return by_round(
            (
                sample
                for sample in self.samples
                if (sample.work, sample.case, sample.placement, sample.contender) == (work, case, placement, contender)
            ),
            metric,
        )


def by_round(samples: Iterable[Sample], metric: str) -> dict[int, float]:
    """Of one contender at one task."""
    return {sample.round: sample.metrics[metric] for sample in samples if metric in sample.metrics}
