"""GPUs that nobody gets yet, because their last holder went without a word and may have left something behind.

Where the driver can tell, a GPU leaves quarantine when no process of that holder is on it any more. Where it cannot,
it is enough that the holder has let go or is dead. One of whom neither is known is *awaited*: it did not come back
after a restart, or was cut off, and its process is watched until the kernel says that it has ended, or that process
itself says that it lets go of the lock. No time makes its GPU clear.
"""

from __future__ import annotations

import signal
from dataclasses import replace

from .actions import Inspect, QuarantineSet, Severity, Unwatch, Watch
from .deadlines import Alarm
from .events import GpuInspected
from .forms import who
from .model import Gpu, GpuProcess, Process, Quarantine
from .placement import Step, move
from .turn import Turn

LET_GO = frozenset({"disconnected", "died"})
"""The reasons that say of themselves that a holder has closed its connection, or is dead."""


def enter(turn: Turn, uuid: str, entry: Quarantine) -> None:
    """Looks who is still on a GPU whose holder is gone. One that is missing today is looked at by a later daemon."""
    turn.do(QuarantineSet(uuid, entry))
    if (gpu := turn.state.gpus.get(uuid)) is not None:
        move(turn, gpu, Step.LEAVE_BEHIND)
        gpu.quarantine = entry
        if entry.awaited:
            turn.do(Watch(entry.holder.process))
        _inspect(turn, gpu, entry, None)


def resume(turn: Turn, uuid: str, entry: Quarantine) -> None:
    """What an earlier daemon has left. Whether its holder lives, the kernel says anew."""
    enter(turn, uuid, replace(entry, awaited=entry.reason not in LET_GO))


def exited(turn: Turn, process: Process) -> None:
    """The kernel says that a process is dead: whoever waits for that looks again."""
    for gpu in turn.state.gpus.values():
        if gpu.quarantine is not None and gpu.quarantine.holder.process == process:
            _await_no_more(turn, gpu, gpu.quarantine)


def let_go(turn: Turn, process: Process, lock: str) -> None:
    """A process says that it lets go of a lock. If that has ended as its own without a word, this is the word."""
    for gpu in turn.state.gpus.values():
        if gpu.quarantine is not None and (gpu.quarantine.lock, gpu.quarantine.holder.process) == (lock, process):
            _await_no_more(turn, gpu, gpu.quarantine)


def _await_no_more(turn: Turn, gpu: Gpu, entry: Quarantine) -> None:
    if entry.awaited:
        gpu.quarantine = entry = replace(entry, awaited=False)
        turn.do(Unwatch(entry.holder.process))
        _inspect(turn, gpu, entry, None)


def _inspect(turn: Turn, gpu: Gpu, entry: Quarantine, number: int | None) -> None:
    if gpu.uuid not in turn.inspecting:
        turn.inspecting.add(gpu.uuid)
        turn.do(Inspect(gpu.uuid, entry.holder, number))


def inspected(turn: Turn, event: GpuInspected) -> None:
    """The driver's word on a quarantined GPU."""
    turn.inspecting.discard(event.gpu)
    gpu = turn.state.gpus.get(event.gpu)
    if gpu is None or gpu.quarantine is None:
        return
    entry = gpu.quarantine
    if event.fault is not None:
        _look_again(turn, gpu)
    elif event.culprits:
        gpu.quarantine = replace(entry, culprits=event.culprits)
        _look_again(turn, gpu)
        if not entry.culprits:
            _tell_culprits(turn, gpu, entry, event.culprits)
    elif event.culprits is None and entry.awaited:
        gpu.quarantine = replace(entry, culprits=())
        _tell_awaited(turn, gpu, entry)
    else:
        clear(turn, gpu, entry)


def clear(turn: Turn, gpu: Gpu, entry: Quarantine) -> None:
    """Nothing of the last holder is on it any more."""
    gpu.quarantine = None
    move(turn, gpu, Step.CLEAR)
    turn.deadlines.clear(Alarm.QUARANTINE_RECHECK, gpu.uuid)
    turn.do(QuarantineSet(gpu.uuid, None))
    if entry.awaited:
        turn.do(Unwatch(entry.holder.process))
    if entry.culprits or entry.awaited:
        turn.announce(
            "gpu.cleared",
            f"GPU {gpu.identity.index} is clear again after {turn.now - entry.since:.1f} s",
            gpu=gpu.uuid,
            lock=entry.lock,
        )


def _look_again(turn: Turn, gpu: Gpu) -> None:
    turn.deadlines.set(Alarm.QUARANTINE_RECHECK, gpu.uuid, turn.now + turn.state.settings.quarantine_recheck)


def _tell_culprits(turn: Turn, gpu: Gpu, entry: Quarantine, culprits: tuple[GpuProcess, ...]) -> None:
    pids = [culprit.pid for culprit in culprits]
    named = ", ".join(map(str, pids))
    _tell_why(turn, gpu, entry, f"pid {named} of {entry.lock} is still on it", pids)


def _tell_awaited(turn: Turn, gpu: Gpu, entry: Quarantine) -> None:
    why = f"the driver cannot tell who is on it, and {who(entry.holder)}, who had {entry.lock}, may live"
    _tell_why(turn, gpu, entry, why, [entry.holder.process.pid])


def _tell_why(turn: Turn, gpu: Gpu, entry: Quarantine, why: str, pids: list[int]) -> None:
    turn.announce(
        "gpu.quarantined",
        f"GPU {gpu.identity.index} is not clear: {why}",
        Severity.WARNING,
        gpu=gpu.uuid,
        lock=entry.lock,
        pids=pids,
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
