"""Processes that compete for one lock, and what they wrote down of each turn."""

from __future__ import annotations

import array
import itertools
import time
from collections.abc import Sequence
from typing import NamedTuple

from bench.clock import NS, now, sleep_until
from bench.locks import Lock
from bench.workers import Told, crew

ENDLESS = 1 << 60
_START_AFTER = NS // 20


class Turn(NamedTuple):
    """One turn of one process; moments are of the clock that all processes share."""

    asked: int
    got: int
    given: int
    """Just before it let go."""
    process: int


class Overlap(Exception):
    """Two held the lock at once: such a lock is fast for nothing."""


def contend(
    lock: Lock, count: int, hold: float, *, seconds: float, turns: int = ENDLESS
) -> tuple[list[Turn], int, int]:
    """The turns in the order in which they were granted, and when all began and were to stop.

    Each process holds for `hold` seconds, and stops after `seconds` or its `turns`. Raises `Overlap`.
    """
    with crew(count, _compete, lock, hold) as workers:
        for worker in workers:
            worker.hear()
        start = now() + _START_AFTER
        stop = start + int(seconds * NS)
        for worker in workers:
            worker.tell((start, stop, turns))
        told = [worker.hear(seconds + 120) for worker in workers]
    rows = [
        Turn(flat[at], flat[at + 1], flat[at + 2], process)
        for process, flat in enumerate(told)
        for at in range(0, len(flat), 3)
    ]
    rows.sort(key=lambda turn: turn.got)
    for last, turn in itertools.pairwise(rows):
        if turn.got < last.given:
            raise Overlap(f"processes {last.process} and {turn.process} held it at once")
    return rows, start, stop


def gaps(turns: Sequence[Turn]) -> list[int]:
    """Nanoseconds from just before a release to the next process's having the lock; own returns are no handover."""
    return [turn.got - last.given for last, turn in itertools.pairwise(turns) if turn.process != last.process]


def _compete(told: Told, _: int, lock: Lock, hold: float) -> None:
    lock.open()
    told.send("ready")
    start, stop, limit = told.recv()
    rows = array.array("q")
    sleep_until(start)
    while limit > 0 and now() < stop:
        asked = now()
        lock.acquire()
        got = now()
        if hold:
            time.sleep(hold)
        given = now()
        lock.release()
        rows.extend((asked, got, given))
        limit -= 1
    told.send(rows)
    told.recv()  # the end: a connection that closes now would disturb those that still compete
