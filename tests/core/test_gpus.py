"""The host's GPUs as the driver reports them, and what administrators take out of service."""

from __future__ import annotations

from dataclasses import replace

from gpulockd.core.actions import TenantsSeen
from gpulockd.core.events import GpusDiscovered, GpusSampled
from gpulockd.core.model import GpuProcess, Sample
from gpulockd.core.placement import gates

from .script import (
    Host,
    Step,
    acquire,
    answered,
    clear,
    disconnects,
    drains,
    granted,
    happens,
    identity,
    inspect,
    passes,
    play,
    refused,
    release,
    released,
    sampled,
    seen,
    so,
    undrains,
    uuid,
)

STRANGER = GpuProcess(4711, 1, "mallory", "python mine.py")


def test_a_gpu_that_is_listed_again_keeps_its_holder_and_takes_its_new_index() -> None:
    host = play(Host(gpus=2), acquire("anna"), granted("anna", 0))
    moved = (replace(identity(0), index=1), replace(identity(1), index=0))
    play(
        host,
        happens(GpusDiscovered(moved)),
        so(lambda host: host.state.gpus[uuid(0)].lock == host.lock("anna").id),
        acquire("ben", ("0",)), granted("ben", 0),
        so(lambda host: host.lock("ben").gpus == (uuid(1),)),
    )  # fmt: skip


def test_what_is_said_of_a_gpu_that_nobody_listed_changes_nothing() -> None:
    host = play(Host(gpus=1), happens(GpusSampled({uuid(9): Sample(fault="GPU is lost")})))
    assert "gpu.sick" not in host.kinds()


def test_who_uses_a_gpu_without_a_lock_is_told_once() -> None:
    host = play(Host(gpus=1), acquire("anna"), granted("anna", 0))
    mine = GpuProcess(host.process("anna").pid, 1)
    play(
        host,
        sampled(0, processes=(mine, STRANGER), kin=frozenset({mine.pid})),
        sampled(0, processes=(mine, STRANGER), kin=frozenset({mine.pid})),
    )  # fmt: skip
    assert [announce.data["pid"] for announce in host.announced if announce.kind == "gpu.foreign"] == [4711]


def test_a_gpu_that_a_stranger_uses_is_granted_unless_strangers_are_waited_for() -> None:
    used = sampled(0, processes=(STRANGER,))
    play(Host(gpus=1), used, acquire("anna", wait=0), granted("anna", 0))
    play(
        Host(gpus=1, foreign_waits=True),
        used,
        acquire("anna", wait=0), refused("anna", "busy"),
        acquire("anna"),
        sampled(0, processes=(STRANGER,)),
        sampled(0, processes=()), granted("anna", 0),
    )  # fmt: skip


def test_who_is_in_the_way_of_a_grant_is_named() -> None:
    host = play(Host(gpus=1, foreign_waits=True), sampled(0, processes=(STRANGER,)))
    (gpu,) = host.state.gpus.values()
    assert gates(host.state, gpu) == ["used without a lock by pid 4711"]


def test_who_had_a_lock_on_a_gpu_and_is_still_on_it_is_no_stranger() -> None:
    """A worker keeps its context on the GPU from task to task; so may a process that it started under its lock."""
    host = play(Host(gpus=1, foreign_waits=True), acquire("anna"), granted("anna", 0))
    mine, child = GpuProcess(host.process("anna").pid, 1), GpuProcess(5000, 1)
    play(
        host,
        sampled(0, processes=(child,), kin=frozenset({child.pid})),
        release("anna"), released("anna"),
        sampled(0, processes=(mine, child)),
        acquire("ben"), granted("ben", 0),
        sampled(0, processes=(mine, child)),
        release("ben"), released("ben"),
        sampled(0, processes=()),
        sampled(0, processes=(child,)),
        acquire("ben", wait=0), refused("ben", "busy"),
    )  # fmt: skip
    assert [announce.data["pid"] for announce in host.announced if announce.kind == "gpu.foreign"] == [child.pid]


def test_a_look_that_finds_other_tenants_is_written_down() -> None:
    """Not one that finds the same: most do."""
    host = play(Host(gpus=1), acquire("anna"), granted("anna", 0))
    anna = host.process("anna")
    mine, child = GpuProcess(anna.pid, 1, start_time=anna.start_time), GpuProcess(5000, 1, start_time=77)
    kin = frozenset({child.pid})
    play(
        host,
        sampled(0, processes=(child, STRANGER), kin=kin),
        sampled(0, processes=(child, STRANGER), kin=kin),
        sampled(0, processes=(mine, child, STRANGER), kin=kin),
        sampled(0, fault="no answer"),
        release("anna"), released("anna"),
        sampled(0, processes=(mine, child)),
        sampled(0, processes=(mine,)),
        sampled(0, processes=()),
    )  # fmt: skip
    written = [record.start_times for record in host.records if isinstance(record, TenantsSeen)]
    assert written == [{anna.pid: anna.start_time, 5000: 77}, {anna.pid: anna.start_time}, {}]


def test_a_look_is_too_old_to_forget_anybody_by_who_has_come_since() -> None:
    """A driver may be slow, and a lock short: whoever had it after the look began may be on the GPU by now."""
    host = play(Host(gpus=1, foreign_waits=True), passes(10))

    def looked(ago: float, *processes: GpuProcess, holder: str | None = None) -> Step:
        holders = {} if holder is None else {uuid(0): host.process(holder).pid}
        return happens(GpusSampled({uuid(0): Sample(processes=processes)}, host.now - ago, holders))

    play(host, acquire("anna"), granted("anna", 0))
    anna = host.process("anna")
    mine = GpuProcess(anna.pid, 1, start_time=anna.start_time)
    play(
        host,
        release("anna"), released("anna"),
        looked(5),
        looked(0, mine),
        acquire("ben"), granted("ben", 0),
        passes(10),
        release("ben"), released("ben"),
    )  # fmt: skip
    play(host, looked(5, mine, holder="ben"))
    ben = GpuProcess(host.process("ben").pid, 1)
    play(host, looked(0, mine, ben), acquire("carol", wait=0), granted("carol", 0))
    assert "gpu.foreign" not in host.kinds()
    assert not [record for record in host.records if isinstance(record, TenantsSeen)], "what was found is as it was"


def test_what_a_look_that_was_too_old_has_found_is_written_down_by_the_next() -> None:
    host = play(Host(gpus=1), acquire("anna"), granted("anna", 0), release("anna"), released("anna"), passes(10))
    anna, child = host.process("anna"), GpuProcess(5000, 1, start_time=77)
    play(host, acquire("ben"), granted("ben", 0))
    sample = Sample(processes=(child,), kin=frozenset({5000}))
    play(
        host,
        happens(GpusSampled({uuid(0): sample}, host.now, {uuid(0): anna.pid})),
        release("ben"), released("ben"),
        passes(10),
        sampled(0, processes=(child,)),
    )  # fmt: skip
    assert [record.start_times for record in host.records if isinstance(record, TenantsSeen)] == [{5000: 77}]


def test_while_the_driver_cannot_tell_who_is_on_a_gpu_nobody_becomes_a_stranger() -> None:
    host = play(Host(gpus=1, foreign_waits=True), acquire("anna"), granted("anna", 0))
    mine = GpuProcess(host.process("anna").pid, 1)
    play(
        host,
        sampled(0, processes=(mine,)),
        release("anna"), released("anna"),
        sampled(0, fault="no answer"),
        sampled(0, processes=(mine,)),
        acquire("ben", wait=0), granted("ben", 0),
    )  # fmt: skip


def test_who_was_left_on_a_gpu_in_quarantine_is_no_stranger() -> None:
    host = play(
        Host(gpus=1),
        acquire("anna"), granted("anna", 0),
        disconnects("anna"), inspect(0),
        seen(0, 4711),
        sampled(0, processes=(STRANGER,)),
    )  # fmt: skip
    assert "gpu.foreign" not in host.kinds()


def test_a_drained_gpu_keeps_its_holder_and_gets_no_other() -> None:
    play(
        Host(gpus=2),
        acquire("anna"), granted("anna", 0),
        drains("root", None), answered("root"),
        acquire("ben", wait=0), refused("ben", "busy"),
        acquire("cleo", ("0",)),
        release("anna"), released("anna"),
        undrains("root", "1"), answered("root"),
        undrains("root", "1"), answered("root"),
        undrains("root", "0"), answered("root"), granted("cleo", 0),
    )  # fmt: skip


def test_draining_a_gpu_that_there_is_not_is_refused() -> None:
    play(
        Host(gpus=1),
        drains("root", "7"), refused("root", "unknown-gpu"),
        undrains("root", "nonsense"), refused("root", "unknown-gpu"),
    )  # fmt: skip


def test_a_gpu_that_is_sick_and_drained_and_in_quarantine_needs_all_of_it_to_end() -> None:
    play(
        Host(gpus=1),
        acquire("anna"), granted("anna", 0),
        acquire("ben"),
        sampled(0, fault="GPU is lost"),
        drains("root", "0"), answered("root"),
        disconnects("anna"), inspect(0),
        clear(0),
        undrains("root", "0"), answered("root"),
        sampled(0), granted("ben", 0),
    )  # fmt: skip
