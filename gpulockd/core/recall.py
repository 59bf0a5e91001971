"""Taking a lock back: tell, wait, SIGTERM, wait, SIGKILL, wait for the exit.

The lock ends when its holder lets go or the kernel says that it is dead, never by a timer: what follows here only
makes that likelier step by step.
"""

from __future__ import annotations

import enum
import signal
from dataclasses import replace

from .actions import LockChanged, Notify, Severity, Signal
from .deadlines import Alarm
from .events import SignalRefused
from .forms import who
from .model import Lock, LockState, Recall
from .turn import Turn


class Push(enum.Enum):
    RECALL = "recall"
    HARDER = "harder"
    """The deadline of the present step has passed."""


TRANSITIONS: dict[tuple[LockState, Push], LockState] = {
    (LockState.HELD, Push.RECALL): LockState.RECALLED,
    (LockState.RECALLED, Push.RECALL): LockState.RECALLED,  # asked again: the earlier deadline stands
    (LockState.TERMINATING, Push.RECALL): LockState.TERMINATING,
    (LockState.KILLING, Push.RECALL): LockState.KILLING,
    (LockState.RECALLED, Push.HARDER): LockState.TERMINATING,
    (LockState.TERMINATING, Push.HARDER): LockState.KILLING,
    (LockState.KILLING, Push.HARDER): LockState.KILLING,
}


def recall(turn: Turn, lock: Lock, reason: str, by: str, note: str, grace: float, kill_grace: float) -> Recall:
    """Begins to take a lock back; one that is being taken back already stays as it is."""
    before = lock.state
    lock.state = TRANSITIONS[before, Push.RECALL]
    if before is not LockState.HELD and lock.recall is not None:
        return lock.recall
    lock.recall = Recall(reason, by, note, turn.now, turn.now + grace, kill_grace)
    turn.deadlines.set(Alarm.RECALL_STEP, lock.id, lock.recall.deadline)
    turn.do(LockChanged(lock))
    if lock.session is not None and "lost" in lock.wish.notify:
        turn.do(Notify(lock.session, "lost", _lost(turn, lock, lock.recall)))
    turn.announce(
        "lock.recalled",
        f"{lock.id} of {who(lock.owner)} is taken back by {by}: {reason}{': ' + note if note else ''}",
        Severity.WARNING,
        lock=lock.id,
        gpus=list(lock.gpus),
        pid=lock.owner.process.pid,
        reason=reason,
        by=by,
    )
    return lock.recall


def _lost(turn: Turn, lock: Lock, recall: Recall) -> dict[str, object]:
    return {
        "lock": lock.id,
        "token": lock.token,
        "reason": recall.reason,
        "by": recall.by,
        "note": recall.note,
        "deadline": max(0.0, recall.deadline - turn.now),
    }


def harder(turn: Turn, lock_id: str) -> None:
    """The holder has not let go by the deadline: take the next step."""
    lock = turn.state.locks[lock_id]
    recall = lock.recall
    assert recall is not None, f"{lock_id} has a recall deadline and no recall"
    before = lock.state
    lock.state = TRANSITIONS[before, Push.HARDER]
    if before is LockState.KILLING:
        why = recall.obstacle or "it has not ended since SIGKILL: it may hang in the driver"
        _obstruct(turn, lock, recall, why)
        return
    number = signal.SIGTERM if lock.state is LockState.TERMINATING else signal.SIGKILL
    deadline = turn.now + recall.kill_grace
    lock.recall = replace(recall, deadline=deadline)
    turn.deadlines.set(Alarm.RECALL_STEP, lock.id, deadline)
    turn.do(LockChanged(lock))
    turn.do(Signal(lock.id, lock.owner.process, int(number)))
    turn.announce(
        "lock.signalled",
        f"{number.name} to {who(lock.owner)}, which has not given {lock.id} back",
        Severity.WARNING,
        lock=lock.id,
        pid=lock.owner.process.pid,
        signal=number.name,
    )


def signal_refused(turn: Turn, event: SignalRefused) -> None:
    lock = turn.state.locks.get(event.lock)
    if lock is not None and lock.recall is not None:
        _obstruct(turn, lock, lock.recall, event.why)


def _obstruct(turn: Turn, lock: Lock, recall: Recall, why: str) -> None:
    """Nothing more can be done but wait for the exit: the GPU stays with its holder, and status says why."""
    turn.deadlines.clear(Alarm.RECALL_STEP, lock.id)
    if why == recall.obstacle:
        return
    lock.recall = replace(recall, obstacle=why)
    turn.announce(
        "lock.obstructed",
        f"{lock.id} cannot be taken from {who(lock.owner)}: {why}",
        Severity.ERROR,
        lock=lock.id,
        pid=lock.owner.process.pid,
        why=why,
    )


def hold_ended(turn: Turn, lock_id: str) -> None:
    """A lock has reached its longest hold."""
    lock = turn.state.locks[lock_id]
    settings = turn.state.settings
    if settings.take_back:
        recall(turn, lock, "max-hold", "gpulockd", "", settings.revoke_grace, settings.kill_grace)
        return
    turn.announce(
        "lock.overdue",
        f"{lock.id} of {who(lock.owner)} is past its longest hold",
        Severity.WARNING,
        lock=lock.id,
        pid=lock.owner.process.pid,
    )
