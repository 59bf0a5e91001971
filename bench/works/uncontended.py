"""One client that acquires and releases again and again, with nobody in its way."""

from __future__ import annotations

import array
import os
from collections.abc import Callable, Iterator, Sequence

from bench.cells import Absences, Cell, Metrics, Plan, Work
from bench.clock import NS, cpu_seconds, now
from bench.contenders import CONTENDERS, FLOOR, GPULOCK
from bench.locks import AsyncLock, Lock
from bench.placement import Placement
from bench.stage import Stage
from bench.workers import Told, Worker
from bench.works.entries import entries
from gpulockd.evidence.statistics import quantile

CASE = "one client"
QUICK = (GPULOCK, FLOOR, "redis-py")
WARM_UP = 50
_PLACEMENTS: tuple[Placement, ...] = ("free", "one core")


def cells(stage: Stage, plan: Plan, absences: Absences) -> Iterator[Cell]:
    for name, lock in entries(stage, CONTENDERS if plan.full else QUICK, absences).items():
        for placement in _PLACEMENTS:
            if name == "etcd" and placement == "one core":
                continue  # a server with many threads: one core says nothing about it

            def measure(lock: Lock = lock) -> Metrics:
                return cycles(lock, plan.seconds, stage.pids)

            yield Cell(CASE, name, measure, placement)


WORK = Work("uncontended", "Uncontended acquire and release", cells, "p50_us")


def cycles(lock: Lock, seconds: float, servers: Sequence[int]) -> Metrics:
    """`servers`: their process ids; whoever is not asked by this lock is idle."""
    worker = Worker(_cycle, lock, seconds, servers)
    try:
        samples, wall, used = worker.hear(seconds * 4 + 60)
    finally:
        worker.end()
    return {
        "cycles_per_s": len(samples) / wall,
        "p50_us": quantile(samples, 0.5) / 1e3,
        "p99_us": quantile(samples, 0.99) / 1e3,
        "tail": quantile(samples, 0.99) / quantile(samples, 0.5),
        "cpu_us": used / len(samples) * 1e6,
    }


def _cycle(told: Told, lock: Lock, seconds: float, servers: Sequence[int]) -> None:
    before = 0.0

    def used() -> float:
        return sum(map(cpu_seconds, (os.getpid(), *servers)))

    def begin() -> None:
        nonlocal before
        before = used()

    lock.open()
    if isinstance(lock, AsyncLock):
        samples = lock.run(lambda: _async_loop(lock, seconds, begin))
    else:
        samples = _loop(lock, seconds, begin)
    told.send((samples, sum(samples) / NS, used() - before))
    lock.close()


def _loop(lock: Lock, seconds: float, begin: Callable[[], None]) -> array.array[int]:
    acquire, release = lock.acquire, lock.release
    for _ in range(WARM_UP):
        acquire()
        release()
    begin()
    samples = array.array("q")
    before = now()
    end = before + int(seconds * NS)
    while before < end:
        acquire()
        release()
        after = now()
        samples.append(after - before)
        before = after
    return samples


async def _async_loop(lock: AsyncLock, seconds: float, begin: Callable[[], None]) -> array.array[int]:
    acquire, release = lock.acquire_async, lock.release_async
    for _ in range(WARM_UP):
        await acquire()
        await release()
    begin()
    samples = array.array("q")
    before = now()
    end = before + int(seconds * NS)
    while before < end:
        await acquire()
        await release()
        after = now()
        samples.append(after - before)
        before = after
    return samples
