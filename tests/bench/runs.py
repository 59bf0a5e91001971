"""Runs made by hand: what a benchmark might have measured."""

from __future__ import annotations

from bench.bars import Bar
from bench.cells import Run, Sample
from bench.contenders import FLOOR, GPULOCK

BAR = Bar("cycles against the floor", "work", "case", "per_s", "at least", 0.5, FLOOR)


def sample(contender: str, value: float, number: int = 0, *, bar: Bar = BAR, noise: float = 0.0) -> Sample:
    return Sample(bar.work, bar.case, bar.placement, contender, number, 10.0, noise, {bar.metric: value})


def run(*samples: Sample, plan: str = "full", **absences: str) -> Run:
    machine = {
        "date": "2026-01-31", "processor": "Abacus", "cores": 2, "memory_gib": 4, "linux": "6.1", "python": "3.11.2",
        "packages": {"redis": "8.0"}, "commit": "abc1234",
    }  # fmt: skip
    return Run(machine, "python -m bench", plan, absences, list(samples))


def side_by_side(ours: list[float], theirs: list[float], *, bar: Bar = BAR) -> Run:
    """One round for each pair."""
    samples = [sample(GPULOCK, value, number, bar=bar) for number, value in enumerate(ours)]
    return run(*samples, *(sample(FLOOR, value, number, bar=bar) for number, value in enumerate(theirs)))
