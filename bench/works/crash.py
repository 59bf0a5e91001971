"""The holder is killed: how long until the next one has the lock."""

from __future__ import annotations

import os
import random
import select
import time
from collections.abc import Callable, Iterator, Sequence

import psutil

from bench.cells import Absences, Cell, Metrics, Plan, Work
from bench.clock import NS, now
from bench.contenders import CONTENDERS, FLOOR, GPULOCK
from bench.locks import Lock
from bench.stage import Stage
from bench.workers import Told, Worker
from bench.works.entries import entries
from gpulockd.evidence.statistics import quantile

SMALL, LARGE, EXPIRY = "small holder", "holder of 4 GiB", "killed within 5 s of its grant"
GIB = 1 << 30
QUICK = (GPULOCK, FLOOR)
AT_ONCE = (*QUICK, "flock", "filelock")
BY_EXPIRY = ("redis-py", "python-redis-lock")
_PATIENCE = 30.0
_HELD = 0.01
"""Seconds that a lock is held and waited for before the kill."""


def cells(stage: Stage, plan: Plan, absences: Absences) -> Iterator[Cell]:
    found = entries(stage, AT_ONCE if plan.full else QUICK, absences)
    for name, lock in found.items():

        def small(lock: Lock = lock) -> Metrics:
            return one_by_one(lock, 50 if plan.full else 10, 0)

        yield Cell(SMALL, name, small)
    for name in QUICK if plan.full else ():

        def large(lock: Lock = found[name]) -> Metrics:
            return one_by_one(lock, 2, min(4 * GIB, psutil.virtual_memory().available // 2))

        yield Cell(LARGE, name, large, rounds=3)
    for name in BY_EXPIRY if plan.full and not absences.reasons.keys() & set(BY_EXPIRY) else ():

        def expiring(name: str = name) -> Metrics:
            return side_by_side(lambda pair: CONTENDERS[name](stage, f"{name}-{pair}"), 8)

        yield Cell(EXPIRY, name, expiring, rounds=1)


WORK = Work("crash", "The holder is killed", cells, "p50_ms")


class Pair:
    """One that holds, and one that waits for it."""

    def __init__(self, lock: Lock, size: int = 0) -> None:
        self._holder = Worker(_hold, lock, size)
        self._waiter = Worker(_wait, lock)
        self._killed = 0
        try:
            for worker in (self._holder, self._waiter):
                worker.tell("go")
                worker.hear()
            self._pidfd = os.pidfd_open(self._holder.pid)
        except BaseException:
            self._end_workers()
            raise
        time.sleep(_HELD)

    def kill(self) -> None:
        self._killed = now()
        self._holder.kill()

    def exited(self) -> int:
        """Nanoseconds from the kill until the kernel said that the holder has ended."""
        select.select([self._pidfd], [], [], _PATIENCE)
        return now() - self._killed

    def recovered(self, until: float) -> int | None:
        """Nanoseconds from the kill until the waiter had the lock; None if it never got it."""
        if self._waiter.hear_in_vain(max(0.0, until - time.monotonic())):
            return None
        moment: int = self._waiter.hear()
        return moment - self._killed

    def end(self) -> None:
        self._end_workers()
        os.close(self._pidfd)

    def _end_workers(self) -> None:
        for worker in (self._holder, self._waiter):
            worker.end()


def one_by_one(lock: Lock, kills: int, size: int) -> Metrics:
    """For locks that notice at once. `size`: bytes that the holder has touched."""
    times: list[int | None] = []
    late: list[int] = []
    for _ in range(kills):
        pair = Pair(lock, size)
        try:
            pair.kill()
            exited = pair.exited()
            times.append(took := pair.recovered(time.monotonic() + _PATIENCE))
            late.append((took or int(_PATIENCE * NS)) - exited)
        finally:
            pair.end()
    metrics = summary(times)
    return {**metrics, "after_exit_ms": max(late) / 1e6, "holder_gib": size / GIB} if size else metrics


def side_by_side(make: Callable[[int], Lock], count: int) -> Metrics:
    """For locks that expire: pairs of their own, killed at random moments of the first five seconds."""
    chance = random.Random(count)
    pairs = [Pair(make(index)) for index in range(count)]
    try:
        start = time.monotonic()
        for moment, pair in zip(sorted(chance.uniform(0, 5) for _ in pairs), pairs, strict=True):
            time.sleep(max(0.0, start + moment - time.monotonic()))
            pair.kill()
        until = time.monotonic() + _PATIENCE
        return summary([pair.recovered(until) for pair in pairs])
    finally:
        for pair in pairs:
            pair.end()


def summary(times: Sequence[int | None]) -> dict[str, float]:
    good = [took for took in times if took is not None]
    metrics: dict[str, float] = {"kills": len(times), "never": len(times) - len(good)}
    if good:
        metrics |= {"p50_ms": quantile(good, 0.5) / 1e6, "p99_ms": quantile(good, 0.99) / 1e6}
    return metrics


def _hold(told: Told, lock: Lock, size: int) -> None:
    ballast = b"\1" * size
    told.recv()
    lock.open()
    lock.acquire()
    told.send(len(ballast))
    time.sleep(_PATIENCE * 10)


def _wait(told: Told, lock: Lock) -> None:
    told.recv()
    lock.open()
    told.send("waiting")
    lock.acquire()
    told.send(now())
    lock.release()
