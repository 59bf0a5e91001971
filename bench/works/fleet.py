"""A busy host: 64 simulated GPUs, and 500 workers that want one, two, four or eight of them."""

from __future__ import annotations

import itertools
import random
import time
from collections import defaultdict
from collections.abc import Iterator
from functools import partial

import gpulock
from bench.cells import Absences, Cell, Metrics, Plan, Work
from bench.clock import NS, cpu_seconds, now, sleep_until
from bench.contenders import GPULOCK
from bench.servers import Daemon
from bench.stage import Stage
from bench.workers import Told, crew
from bench.works.contention import Overlap
from gpulockd.evidence.statistics import quantile

GPUS, WORKERS, QUICK_WORKERS = 64, 500, 100
WANTED = {1: 70, 2: 15, 4: 10, 8: 5}
"""How many GPUs, and how often of a hundred times."""
_HOLD = (0.05, 0.5)


def case(workers: int) -> str:
    return f"{GPUS} GPUs, {workers} workers that hold for {_HOLD[0] * 1e3:.0f} to {_HOLD[1] * 1e3:.0f} ms"


def cells(stage: Stage, plan: Plan, absences: Absences) -> Iterator[Cell]:  # noqa: ARG001  # nobody else takes part
    workers = WORKERS if plan.full else QUICK_WORKERS
    yield Cell(case(workers), GPULOCK, partial(mix, stage.daemon, workers, plan.seconds * 5), rounds=3)


WORK = Work("fleet", "A busy host", cells, "grants_per_s", gpus=GPUS)


def mix(daemon: Daemon, workers: int, seconds: float) -> Metrics:
    with crew(workers, _work, daemon.socket) as mixed:
        for worker in mixed:
            worker.hear()
        start = now() + NS // 10
        stop = start + int(seconds * NS)
        for worker in mixed:
            worker.tell((start, stop))
        sleep_until(start)
        used = cpu_seconds(daemon.pid)
        sleep_until(stop)
        used = cpu_seconds(daemon.pid) - used
        turns = [turn for worker in mixed for turn in worker.hear(seconds + 120)]
    refuse_overlaps(turns)
    within = [turn for turn in turns if turn[1] < stop]
    waits = [min(got, stop) - asked for asked, got, _, _ in turns if asked < stop]
    held = sum((min(given, stop) - got) * len(gpus) for _, got, given, gpus in within)
    return {
        "grants_per_s": len(within) / seconds,
        "gpus_in_use_percent": held / (GPUS * seconds * NS) * 100,
        "wait_p50_ms": quantile(waits, 0.5) / 1e6,
        "wait_p99_ms": quantile(waits, 0.99) / 1e6,
        "longest_wait_ms": max(waits) / 1e6,
        "daemon_cpu_percent": used / seconds * 100,
    }


def refuse_overlaps(turns: list[tuple[int, int, int, list[int]]]) -> None:
    """Raises `Overlap` where two had one GPU at once."""
    held: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for _, got, given, gpus in turns:
        for gpu in gpus:
            held[gpu].append((got, given))
    for gpu, spans in held.items():
        spans.sort()
        if any(later[0] < earlier[1] for earlier, later in itertools.pairwise(spans)):
            raise Overlap(f"GPU {gpu} was held by two at once")


def _work(told: Told, index: int, path: str) -> None:
    acquire = gpulock.acquire
    chance = random.Random(index)
    turns = []
    told.send("ready")
    start, stop = told.recv()
    sleep_until(start)
    while (asked := now()) < stop:
        wanted = chance.choices(list(WANTED), list(WANTED.values()))[0]
        with acquire(wanted, socket=path) as lock:
            got = now()
            time.sleep(chance.uniform(*_HOLD))
            given = now()
        turns.append((asked, got, given, [gpu.index for gpu in lock.gpus]))
    told.send(turns)
    told.recv()
