"""What the driver saw of the GPUs of each lock: for history, and without any question of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from .actions import LockChanged
from .model import Gpu, GpuProcess, Lock, Sample, Usage
from .placement import strangers
from .turn import Turn

RECORD = 300.0
"""Seconds of a hold after which what was seen is written down once more, so that a restart loses little of it."""
FOREIGN_KEPT = 8
"""So many processes without a lock are remembered of one lock."""


def note_usage(turn: Turn, samples: Mapping[str, Sample]) -> None:
    """The GPUs were looked at."""
    for lock in turn.state.locks.values():
        seen = {uuid: samples[uuid] for uuid in lock.gpus if uuid in samples and samples[uuid].fault is None}
        if seen:
            _add(turn, lock, seen)


def _add(turn: Turn, lock: Lock, seen: Mapping[str, Sample]) -> None:
    before = lock.usage or Usage(lock.granted_at)
    passed = turn.now - before.seen_until
    loads = [sample.utilization for sample in seen.values() if sample.utilization is not None]
    used = [sample.memory_used for sample in seen.values() if sample.memory_used is not None]
    lock.usage = replace(
        before,
        seen_until=turn.now,
        watched=before.watched + passed * len(loads),
        idle=before.idle + passed * loads.count(0.0),
        peak_memory=max([sum(used), before.peak_memory or 0]) if used else before.peak_memory,
        foreign=_met(before.foreign, [turn.state.gpus[uuid] for uuid in seen if uuid in turn.state.gpus]),
    )
    periods = [(at - lock.granted_at) // RECORD for at in (before.seen_until, turn.now)]
    if periods[0] != periods[1]:
        turn.do(LockChanged(lock))


def _met(before: tuple[GpuProcess, ...], gpus: list[Gpu]) -> tuple[GpuProcess, ...]:
    known = {process.pid for process in before}
    new = {process.pid: process for gpu in gpus for process in strangers(gpu) if process.pid not in known}
    return (*before, *new.values())[:FOREIGN_KEPT] if new else before
