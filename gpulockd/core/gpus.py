"""The host's GPUs as the driver reports them: which there are, and how they are."""

from __future__ import annotations

from .actions import Severity
from .events import GpusDiscovered, GpusSampled
from .model import Gpu, Sample
from .placement import regate
from .turn import Turn


def discovered(turn: Turn, event: GpusDiscovered) -> None:
    """Names every GPU of this host. One that is known already keeps its state."""
    for identity in event.gpus:
        if (gpu := turn.state.gpus.get(identity.uuid)) is None:
            turn.state.gpus[identity.uuid] = Gpu(identity)
        else:
            gpu.identity = identity
    turn.state.all_gpus = frozenset(turn.state.gpus)


def sampled(turn: Turn, event: GpusSampled) -> None:
    """The driver's word on each GPU. A sick one is not granted until it is well again; its holder keeps it."""
    for uuid, sample in event.samples.items():
        if (gpu := turn.state.gpus.get(uuid)) is None:
            continue
        before, gpu.sample = gpu.sample, sample
        if sample.fault != before.fault:
            _tell_health(turn, gpu, sample)
            regate(turn, gpu)
        _tell_strangers(turn, gpu, before, sample)


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


def _tell_strangers(turn: Turn, gpu: Gpu, before: Sample, sample: Sample) -> None:
    """Reports processes that use a GPU without a lock, once each."""
    if gpu.quarantine is not None:
        return
    known = {process.pid for process in before.processes or ()}
    for process in sample.processes or ():
        if process.pid not in known and process.pid not in sample.kin:
            turn.announce(
                "gpu.foreign",
                f"pid {process.pid} ({process.user or 'unknown user'}) uses GPU {gpu.identity.index} without a lock",
                Severity.WARNING,
                gpu=gpu.uuid,
                pid=process.pid,
                command=process.command,
            )
