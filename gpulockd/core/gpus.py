"""The host's GPUs as the driver reports them: which there are, and how they are."""

from __future__ import annotations

from .actions import Severity, TenantsSeen
from .events import GpusDiscovered, GpusSampled
from .model import Gpu, Sample, State
from .placement import regate, strangers
from .turn import Turn
from .usage import note_usage


def discovered(turn: Turn, event: GpusDiscovered) -> None:
    """Names every GPU of this host. One that is known already keeps its state."""
    for identity in event.gpus:
        if (gpu := turn.state.gpus.get(identity.uuid)) is None:
            turn.state.gpus[identity.uuid] = Gpu(identity)
        else:
            gpu.identity = identity
    turn.state.all_gpus = frozenset(turn.state.gpus)
    turn.state.by_index = by_index(turn.state)


def by_index(state: State) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for uuid, gpu in state.gpus.items():
        found.setdefault(gpu.identity.index, []).append(uuid)
    return found


def sampled(turn: Turn, event: GpusSampled) -> None:
    """The driver's word on each GPU. A sick one is not granted until it is well again; its holder keeps it."""
    for uuid, sample in event.samples.items():
        if (gpu := turn.state.gpus.get(uuid)) is None:
            continue
        known = {process.pid for process in strangers(gpu)}
        before, gpu.sample = gpu.sample, sample
        _note_tenants(turn, gpu, sample, event)
        if sample.fault != before.fault:
            _tell_health(turn, gpu, sample)
        _tell_strangers(turn, gpu, known)
        regate(turn, gpu)
    note_usage(turn, event.samples)


def _note_tenants(turn: Turn, gpu: Gpu, sample: Sample, event: GpusSampled) -> None:
    """Forgets those who have left, and gets to know what belongs to the holder. A later daemon is to know them too.

    A look that one of them may have come after is too old to forget anybody by: the next will do that.
    """
    if sample.processes is None:
        return
    there = {process.pid: process.start_time for process in sample.processes}
    if gpu.lock is not None:  # its holder may be about to use it
        holder = turn.state.locks[gpu.lock].owner.process
        there[holder.pid] = holder.start_time
    asked_at = turn.now if event.asked_at is None else event.asked_at
    unseen = gpu.tenants.keys() - there.keys()
    too_old = any(gpu.tenants[pid] > asked_at or pid == event.holders.get(gpu.uuid) for pid in unseen)
    new = sample.kin - gpu.tenants.keys()
    gpu.tenants |= dict.fromkeys(new, turn.now)
    if new:
        gpu.tenants_written = False
    if too_old:
        return
    for pid in unseen:
        del gpu.tenants[pid]
    if unseen or not gpu.tenants_written:
        gpu.tenants_written = True
        turn.do(TenantsSeen(gpu.uuid, {pid: there[pid] for pid in gpu.tenants}))


def _tell_health(turn: Turn, gpu: Gpu, sample: Sample) -> None:
    if sample.fault is None:
        turn.announce("gpu.recovered", f"GPU {gpu.identity.index} is well again", gpu=gpu.uuid)
        return
    turn.announce(
        "gpu.sick",
        f"GPU {gpu.identity.index} is not granted: {sample.fault}",
        Severity.ERROR,
        gpu=gpu.uuid,
        fault=sample.fault,
    )


def _tell_strangers(turn: Turn, gpu: Gpu, known: set[int]) -> None:
    """Reports processes that use a GPU without a lock, once each."""
    if gpu.quarantine is not None:
        return
    for process in strangers(gpu):
        if process.pid not in known:
            turn.announce(
                "gpu.foreign",
                f"pid {process.pid} ({process.user or 'unknown user'}) uses GPU {gpu.identity.index} without a lock",
                Severity.WARNING,
                gpu=gpu.uuid,
                lock=gpu.lock,
                pid=process.pid,
                command=process.command,
            )
