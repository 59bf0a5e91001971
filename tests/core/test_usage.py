"""What is remembered of the GPUs under a lock: their memory, their load, and strangers on them."""

from __future__ import annotations

from typing import Any

import pytest

from gpulockd.core import events
from gpulockd.core.actions import LockChanged
from gpulockd.core.model import GpuProcess, Sample, Usage
from gpulockd.core.usage import FOREIGN_KEPT, RECORD

from .script import GIB, Host, Step, Told, acquire, granted, passes, play, release, released, sampled, uuid


def holder(gpus: int = 1) -> Host:
    return play(Host(gpus=gpus), acquire("anna", gpus, hold=10_000), granted("anna", *range(gpus)))


def looks(*, after: float, **sample: Any) -> list[Step | Told]:
    return [passes(after), sampled(0, **sample)]


def usage(host: Host) -> Usage:
    found = host.lock("anna").usage
    assert found is not None
    return found


def test_nothing_is_known_before_anybody_has_looked() -> None:
    assert holder().lock("anna").usage is None


def test_the_most_memory_that_was_seen_is_kept() -> None:
    host = holder()
    for used in (2, 7, 3):
        play(host, *looks(after=10, memory_used=used * GIB))
    assert usage(host).peak_memory == 7 * GIB


def test_each_look_speaks_for_the_time_since_the_one_before() -> None:
    host = play(
        holder(), *looks(after=30, utilization=0.9), *looks(after=1, utilization=0.0), *looks(after=29, utilization=0.0)
    )
    assert (usage(host).watched, usage(host).idle) == (60.0, 30.0)


def test_several_gpus_count_by_themselves_and_their_memory_together() -> None:
    host = play(holder(2), passes(10))
    samples = {uuid(0): Sample(3 * GIB, 0.0), uuid(1): Sample(4 * GIB, 0.5)}
    host.handle(events.GpusSampled(samples))
    assert usage(host) == Usage(host.now, watched=20.0, idle=10.0, peak_memory=7 * GIB)


@pytest.mark.parametrize("sample", [{}, {"fault": "GPU is lost", "utilization": 0.0}])
def test_what_the_driver_does_not_tell_is_no_idleness(sample: dict[str, Any]) -> None:
    host = play(holder(), *looks(after=10, **sample))
    found = host.lock("anna").usage
    assert found is None or (found.watched, found.idle, found.peak_memory) == (0.0, 0.0, None)


def test_strangers_that_are_met_are_remembered_once_and_only_the_first_few() -> None:
    crowd = tuple(GpuProcess(pid, GIB, "eve", "python miner.py") for pid in range(1, 20))
    host = play(holder(), *looks(after=10, processes=crowd[:2]), *looks(after=10, processes=crowd))
    assert usage(host).foreign == crowd[:FOREIGN_KEPT]
    play(host, *looks(after=10, processes=()))
    assert usage(host).foreign == crowd[:FOREIGN_KEPT]


def test_the_holder_and_its_kin_are_no_strangers() -> None:
    host = holder()
    pid = host.process("anna").pid
    own = (GpuProcess(pid, GIB), GpuProcess(pid + 50_000, GIB))
    play(host, *looks(after=10, processes=own, kin=frozenset({pid + 50_000})))
    assert usage(host).foreign == ()


def test_it_is_written_down_now_and_then_and_at_the_end() -> None:
    host = holder()
    for _ in range(25):
        play(host, *looks(after=RECORD / 10, utilization=0.5))
    assert sum(isinstance(record, LockChanged) for record in host.records) == 2
    lock = host.lock("anna")
    play(host, release("anna"), released("anna"))
    assert host.records[-1].lock.usage == Usage(host.now, watched=2.5 * RECORD)  # type: ignore[union-attr]
    assert lock.usage is not None


def test_a_free_gpu_is_nobodys() -> None:
    play(Host(gpus=1), sampled(0, memory_used=GIB, utilization=0.5))
