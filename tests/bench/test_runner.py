"""Rounds are interleaved, and one contender's failure is nobody else's."""

from __future__ import annotations

from collections.abc import Iterator

from bench.cells import Absences, Cell, Metrics, Plan, Work
from bench.runner import Runner
from bench.stage import Stage
from gpulockd.evidence.bench.processes import ServerFailed

PLAN = Plan("test", rounds=2, seconds=0.0, yardstick=0.001, patience=0.0, full=False)


def _three(stage: Stage, plan: Plan, absences: Absences) -> Iterator[Cell]:
    def fails() -> Metrics:
        raise RuntimeError("two held it at once")

    yield Cell("case", "first", lambda: {"ms": 1.0})
    yield Cell("case", "second", fails, "one core")
    yield Cell("case", "third", lambda: {"ms": 3.0}, rounds=1)


def _nothing(stage: Stage, plan: Plan, absences: Absences) -> Iterator[Cell]:
    raise ServerFailed("no such server")


def test_all_are_measured_in_each_round_and_who_fails_is_noted() -> None:
    absences, shown = Absences(), []
    runner = Runner(PLAN, absences, lambda work, cell, done, total: shown.append((cell.contender, done, total)))
    samples = runner.measure([Work("broken", "Broken", _nothing, "ms"), Work("work", "A work", _three, "ms")])
    assert [(sample.round, sample.contender, sample.metrics["ms"]) for sample in samples] == [
        (0, "first", 1.0),
        (0, "third", 3.0),
        (1, "first", 1.0),
    ]
    assert all(sample.yardstick > 0 for sample in samples)
    assert shown == [("first", 0, 5), ("second", 1, 5), ("third", 2, 5), ("second", 3, 5), ("first", 4, 5)]
    assert absences.reasons == {
        "Broken": "no such server",
        "second: work, case, one core": "RuntimeError: two held it at once",
    }
