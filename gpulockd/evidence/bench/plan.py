"""What a run is to do, and in which order. Pure."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from .tasks import Mix, mean_hold, mean_pause
from .variants import Variant

ROUNDS = 8
"""So many rounds a run aims at: intervals are made of the differences between rounds."""
LEAST_ROUNDS = 3
_UPKEEP = 1.5
"""Seconds that a block takes besides its tasks: a daemon starts and ends."""


@dataclass(frozen=True, slots=True)
class Plan:
    variants: Sequence[Variant]
    baseline: str
    """The name of the one that the others are compared with."""
    mix: Mix
    """Empty: the tasks are `command`."""
    workers: int
    gpus: int
    load: float
    """The share of the time for which the GPUs would be busy if nobody ever waited."""
    scale: float
    """All times are multiplied by it."""
    duration: float
    """Seconds for the whole run, not scaled."""
    seed: int
    rounds: int | None = None
    """None: as many as fit."""
    each: int | None = None
    """Tasks of a worker in a block; None: as many as let `ROUNDS` rounds fit."""
    command: tuple[str, ...] = ()
    hold: float = 0.0
    """What the command takes by itself."""

    @property
    def mean_hold(self) -> float:
        return mean_hold(self.mix) if self.mix else self.hold

    @property
    def mean_pause(self) -> float:
        return mean_pause(self.mean_hold, self.workers, self.gpus, self.load)

    @property
    def tasks_each(self) -> int:
        """A worker's cycle is a pause, a wait and a task; waits are taken to be as long as two tasks."""
        if self.each is not None:
            return self.each
        cycle = (self.mean_pause + 3 * self.mean_hold) * self.scale
        block = self.duration / (len(self.variants) * (self.rounds or ROUNDS)) - _UPKEEP
        return max(1, int(block / cycle))

    def order(self, number: int) -> list[Variant]:
        """The variants as they come in a round: drawn anew for each, so that nobody always follows the same other."""
        return random.Random(f"{self.seed}/{number}/order").sample(self.variants, len(self.variants))
