"""Processes that want one lock all the time: how long it lies idle between two of them, and who gets it how often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from bench.cells import Absences, Cell, Metrics, Plan, Work
from bench.clock import cpu_seconds
from bench.contenders import FLOOR, GPULOCK
from bench.locks import Lock
from bench.stage import Stage
from bench.works.contention import contend, gaps
from bench.works.entries import entries
from gpulockd.evidence.statistics import quantile

QUICK = (GPULOCK, FLOOR)
FULL = (
    *QUICK, "flock", "filelock", "redis-py", "redis-py asyncio", "python-redis-lock", "pottery", "etcd",
)  # fmt: skip
ON_ONE_CORE = (GPULOCK, FLOOR, "python-redis-lock")
COUNTS, HOLDS = (2, 8, 32), (0, 1, 5)
"""Processes, and milliseconds."""
QUICK_CASES = ((8, 0), (8, 5))


def case(count: int, hold: int) -> str:
    return f"{count} processes, hold {hold} ms"


def cells(stage: Stage, plan: Plan, absences: Absences) -> Iterator[Cell]:
    found = entries(stage, FULL if plan.full else QUICK, absences)
    for count, hold in [(count, hold) for count in COUNTS for hold in HOLDS] if plan.full else QUICK_CASES:
        for name, lock in found.items():

            def measure(lock: Lock = lock, count: int = count, hold: int = hold) -> Metrics:
                return handovers(lock, count, hold / 1e3, plan.seconds, stage.pids)

            yield Cell(case(count, hold), name, measure, rounds=3)
            if (count, hold) == (8, 0) and name in ON_ONE_CORE:
                yield Cell(case(count, hold), name, measure, "one core", rounds=3)


WORK = Work("handover", "Handover under contention", cells, "gap_p50_ms")


def handovers(lock: Lock, count: int, hold: float, seconds: float, servers: Sequence[int]) -> Metrics:
    """`servers`: their process ids; whoever is not asked by this lock is idle."""
    used = sum(map(cpu_seconds, servers))
    turns, _, stop = contend(lock, count, hold, seconds=seconds)
    used = sum(map(cpu_seconds, servers)) - used
    server_us = used / len(turns) * 1e6
    waits = [min(turn.got, stop) - turn.asked for turn in turns if turn.asked < stop]
    turns = [turn for turn in turns if turn.got < stop]
    handed = gaps(turns)
    of_each = Counter(turn.process for turn in turns)
    metrics = {
        "turns_per_s": len(turns) / seconds,
        "handovers_per_s": len(handed) / seconds,
        "most_turns": max(of_each.values()),
        "least_turns": min(of_each[process] for process in range(count)),
        "longest_wait_ms": max(waits) / 1e6,
        "server_cpu_us": server_us,
    }
    metrics["spread"] = metrics["most_turns"] - metrics["least_turns"]
    if handed:
        metrics |= {"gap_p50_ms": quantile(handed, 0.5) / 1e6, "gap_p99_ms": quantile(handed, 0.99) / 1e6}
    return metrics
