"""GPUs that nobody gets yet, because their last holder went without a word and may have left something behind.

Where the driver can tell, a GPU leaves quarantine when no process of that holder is on it any more; where it cannot,
the holder's end is enough.
"""

from __future__ import annotations

import signal

from .actions import Inspect, QuarantineSet, Severity
from .deadlines import Alarm
from .events import GpuInspected
from .model import Gpu, Quarantine
from .placement import Step, move
from .turn import Turn


def enter(turn: Turn, uuid: str, entry: Quarantine) -> None:
    """Looks who is still on a GPU whose holder is gone. One that is missing today is looked at by a later daemon."""
    turn.do(QuarantineSet(uuid, entry))
    if (gpu := turn.state.gpus.get(uuid)) is not None:
        move(turn, gpu, Step.LEAVE_BEHIND)
        gpu.quarantine = entry
        _inspect(turn, gpu, entry, None)


def _inspect(turn: Turn, gpu: Gpu, entry: Quarantine, number: int | None) -> None:
    if gpu.uuid not in turn.inspecting:
        turn.inspecting.add(gpu.uuid)
        turn.do(Inspect(gpu.uuid, entry.holder, number))


def inspected(turn: Turn, event: GpuInspected) -> None:
    """The driver's word on a quarantined GPU. Where it cannot tell, the holder's death is enough."""
    turn.inspecting.discard(event.gpu)
    gpu = turn.state.gpus.get(event.gpu)
    if gpu is None or gpu.quarantine is None:
        return
    entry = gpu.quarantine
    again = turn.now + turn.state.settings.quarantine_recheck
    if event.fault is not None:
        turn.deadlines.set(Alarm.QUARANTINE_RECHECK, gpu.uuid, again)
        return
    if not event.culprits:
        gpu.quarantine = None
        move(turn, gpu, Step.CLEAR)
        turn.do(QuarantineSet(gpu.uuid, None))
        if entry.culprits:
            turn.announce(
                "gpu.cleared",
                f"GPU {gpu.identity.index} is clear again after {turn.now - entry.since:.1f} s",
                gpu=gpu.uuid,
                lock=entry.lock,
            )
        return
    gpu.quarantine = Quarantine(entry.since, entry.lock, entry.holder, entry.reason, event.culprits)
    turn.deadlines.set(Alarm.QUARANTINE_RECHECK, gpu.uuid, again)
    if not entry.culprits:
        pids = ", ".join(str(culprit.pid) for culprit in event.culprits)
        turn.announce(
            "gpu.quarantined",
            f"GPU {gpu.identity.index} is not clear: pid {pids} of {entry.lock} is still on it",
            Severity.WARNING,
            gpu=gpu.uuid,
            lock=entry.lock,
            pids=[culprit.pid for culprit in event.culprits],
        )


def recheck(turn: Turn, uuid: str) -> None:
    """Looks again at a quarantined GPU, and ends what is on it where that is wanted."""
    gpu = turn.state.gpus[uuid]
    if gpu.quarantine is None:
        return
    number: int | None = None
    settings = turn.state.settings
    if settings.kill_orphans and gpu.quarantine.culprits:
        patient = turn.now - gpu.quarantine.since < settings.kill_grace
        number = int(signal.SIGTERM if patient else signal.SIGKILL)
    _inspect(turn, gpu, gpu.quarantine, number)
