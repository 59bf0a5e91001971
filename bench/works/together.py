"""Eight that come at once, each to hold for 20 ms: how much longer than the sum of their holds all of it takes."""

from __future__ import annotations

from collections.abc import Iterator

from bench.cells import Absences, Cell, Metrics, Plan, Work
from bench.contenders import FLOOR, GPULOCK
from bench.locks import Lock
from bench.stage import Stage
from bench.works.contention import contend, gaps
from bench.works.entries import entries

CASE = "8 processes, 20 ms each"
POLLING = "polling 2 s to 10 s"
QUICK = (GPULOCK, FLOOR)
FULL = (*QUICK, "flock", "filelock", "redis-py", "python-redis-lock", "pottery", POLLING)
_COUNT, _HOLD = 8, 0.020


def cells(stage: Stage, plan: Plan, absences: Absences) -> Iterator[Cell]:
    for name, lock in entries(stage, FULL if plan.full else QUICK, absences).items():

        def measure(lock: Lock = lock) -> Metrics:
            return at_once(lock)

        yield Cell(CASE, name, measure, rounds=1 if name == POLLING else None)


WORK = Work("together", "All at once", cells, "took_ms")


def at_once(lock: Lock) -> Metrics:
    turns, start, _ = contend(lock, _COUNT, _HOLD, seconds=120, turns=1)
    held = sum(turn.given - turn.got for turn in turns)
    took = max(turn.given for turn in turns) - start
    return {"took_ms": took / 1e6, "held_ms": held / 1e6, "stretch": took / held, "gap_max_ms": max(gaps(turns)) / 1e6}
