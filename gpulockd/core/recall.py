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
    (LockState.RECALLED, Push.RECALL): LockState.RECALLED,  # asked again: the sooner deadline stands
    (LockState.TERMINATING, Push.RECALL): LockState.TERMINATING,
    (LockState.KILLING, Push.RECALL): LockState.KILLING,
    (LockState.RECALLED, Push.HARDER): LockState.TERMINATING,
    (LockState.TERMINATING, Push.HARDER): LockState.KILLING,
    (LockState.KILLING, Push.HARDER): LockState.KILLING,
}


DYING = 1.0
"""Seconds that a process may take to end after SIGKILL before it counts as hanging, at the least."""


def recall(turn: Turn, lock: Lock, reason: str, by: str, note: str, grace: float, kill_grace: float) -> Recall:
    """Begins to take a lock back. One that is being taken back already is so for the first reason, and sooner where
    that is asked for now."""
    lock.state = TRANSITIONS[lock.state, Push.RECALL]
    if lock.recall is not None:
        return _hasten(turn, lock, lock.recall, by, grace, kill_grace)
    lock.recall = Recall(reason, by, note, turn.now, turn.now + grace, kill_grace)
    turn.deadlines.set(Alarm.RECALL_STEP, lock.id, lock.recall.deadline)
    turn.do(LockChanged(lock))
    tell(turn, lock)
    said = f"{lock.id} of {who(lock.owner)} is taken back by {by}: {reason}{': ' + note if note else ''}"
    _announce(turn, lock, lock.recall, by, said)
    return lock.recall


def _hasten(turn: Turn, lock: Lock, recall: Recall, by: str, grace: float, kill_grace: float) -> Recall:
    if lock.state is LockState.KILLING:
        return recall
    left = grace if lock.state is LockState.RECALLED else grace + kill_grace
    sooner = turn.now + left < recall.deadline
    deadline = turn.now + left if sooner else recall.deadline
    lock.recall = replace(recall, deadline=deadline, kill_grace=min(recall.kill_grace, kill_grace))
    if lock.recall != recall:
        turn.do(LockChanged(lock))
    if sooner:
        turn.deadlines.set(Alarm.RECALL_STEP, lock.id, deadline)
        tell(turn, lock)
        _announce(turn, lock, recall, by, f"{lock.id} of {who(lock.owner)} is taken back sooner, by {by}")
    return lock.recall


def _announce(turn: Turn, lock: Lock, recall: Recall, by: str, said: str) -> None:
    turn.announce(
        "lock.recalled",
        said,
        Severity.WARNING,
        lock=lock.id,
        gpus=list(lock.gpus),
        pid=lock.owner.process.pid,
        reason=recall.reason,
        by=by,
    )


def resume(turn: Turn, lock: Lock) -> None:
    """Goes on where an earlier daemon stopped. Whether it still sent its last signal nobody knows: it is sent again."""
    if lock.recall is None:
        return
    deadline = lock.recall.deadline
    if lock.state is LockState.KILLING:
        lock.state, deadline = LockState.TERMINATING, turn.now
    turn.deadlines.set(Alarm.RECALL_STEP, lock.id, deadline)


def tell(turn: Turn, lock: Lock) -> None:
    """Tells a holder that asked for it that its lock is being taken back."""
    if (recall := lock.recall) is None or lock.session is None or "lost" not in lock.wish.notify:
        return
    params = {
        "lock": lock.id,
        "token": lock.token,
        "reason": recall.reason,
        "by": recall.by,
        "note": recall.note,
        "deadline": max(0.0, recall.deadline - turn.now),
    }
    turn.do(Notify(lock.session, "lost", params))


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
    if lock.state is LockState.TERMINATING:
        # The end of a lease is not put off by a step that was taken late.
        began = recall.deadline if recall.reason == "lease-lost" else turn.now
        number, deadline = signal.SIGTERM, began + recall.kill_grace
    else:
        number, deadline = signal.SIGKILL, turn.now + max(recall.kill_grace, DYING)
    lock.recall = replace(recall, deadline=deadline)
    turn.deadlines.set(Alarm.RECALL_STEP, lock.id, deadline)
    turn.do(LockChanged(lock))
    turn.do(Signal(lock.id, lock.owner.process, int(number)))
    turn.announce(
        "lock.signalled",
        f"{number.name} to {who(lock.owner)}, which has not given {lock.id} back",
        Severity.WARNING,
        lock=lock.id,
        gpus=list(lock.gpus),
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
        gpus=list(lock.gpus),
        pid=lock.owner.process.pid,
        why=why,
    )
