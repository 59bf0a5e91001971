"""The life of a lock: granted, held, perhaps taken back, ended.

Taking back follows the third law: tell, wait, SIGTERM, wait, SIGKILL, wait for the exit. The lock ends when its
holder lets go or the kernel says that it is dead, never by a timer.
"""

from __future__ import annotations

import enum
import signal

from .actions import (
    Inspect,
    LockChanged,
    LockEnded,
    LockGranted,
    Notify,
    QuarantineSet,
    Severity,
    Signal,
    Unwatch,
)
from .deadlines import Alarm
from .events import BeatReported, ExtendRequested, GpuInspected, ReleaseRequested, SignalRefused
from .forms import grant_view
from .model import (
    COUNTER_BITS,
    Gpu,
    Lock,
    LockState,
    Owner,
    Quarantine,
    Recall,
    Request,
    Session,
)
from .placement import Step, move
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

VOLUNTARY = frozenset({"released"})
"""The ends after which a GPU is clear without looking: its holder said so itself."""


def grant(turn: Turn, request: Request, gpus: tuple[str, ...]) -> Lock:
    """Makes the lock that answers `request`; the request has left the queue already."""
    session = turn.state.sessions[request.session]
    token = turn.next_token()
    lock = Lock(
        id=f"L{token >> COUNTER_BITS}-{token & (1 << COUNTER_BITS) - 1}",
        token=token,
        gpus=gpus,
        owner=session.owner,
        session=session.id,
        reattach=session.reattach,
        wish=request.wish,
        queued_at=request.queued_at,
        granted_at=turn.now,
        ends_at=turn.now + min(request.wish.max_hold, turn.state.settings.hard_timeout),
    )
    turn.state.locks[lock.id] = lock
    session.locks.add(lock.id)
    for uuid in gpus:
        gpu = turn.state.gpus[uuid]
        gpu.lock = lock.id
        move(turn, gpu, Step.GRANT)
    turn.deadlines.set(Alarm.HOLD_END, lock.id, lock.ends_at)
    turn.do(LockGranted(lock))
    turn.answer(session.id, request.msgid, **grant_view(turn.state, lock, turn.now))
    turn.announce(
        "lock.granted",
        f"{lock.id} granted to {who(lock.owner)}",
        Severity.DEBUG,
        lock=lock.id,
        token=token,
        gpus=list(gpus),
        pid=lock.owner.process.pid,
        user=lock.owner.user,
        task=lock.wish.task,
        waited=turn.now - lock.queued_at,
    )
    return lock


def end(turn: Turn, lock: Lock, how: str, by: str = "") -> None:
    """Ends a lock. Unless its holder let go itself, its GPUs stand in quarantine until they are seen clear."""
    del turn.state.locks[lock.id]
    if lock.session is None:
        turn.do(Unwatch(lock.owner.process))
    else:
        turn.state.sessions[lock.session].locks.discard(lock.id)
    for alarm in (Alarm.HOLD_END, Alarm.RECALL_STEP, Alarm.REATTACH_END):
        turn.deadlines.clear(alarm, lock.id)
    clear = how in VOLUNTARY
    if lock.recall is not None:
        how, by = lock.recall.reason, lock.recall.by
    turn.do(LockEnded(lock, turn.now, how, by))
    for uuid in lock.gpus:
        if (gpu := turn.state.gpus.get(uuid)) is None:
            continue
        gpu.lock = None
        if clear:
            move(turn, gpu, Step.LET_GO)
        else:
            move(turn, gpu, Step.LEAVE_BEHIND)
            quarantine(turn, gpu, Quarantine(turn.now, lock.id, lock.owner, how))
    turn.announce(
        "lock.ended",
        f"{lock.id} of {who(lock.owner)} ended: {how}",
        Severity.DEBUG if clear else Severity.INFO,
        lock=lock.id,
        token=lock.token,
        gpus=list(lock.gpus),
        pid=lock.owner.process.pid,
        user=lock.owner.user,
        task=lock.wish.task,
        held=turn.now - lock.granted_at,
        how=how,
        by=by,
    )


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
    lock.recall = Recall(
        recall.reason, recall.by, recall.note, recall.since, deadline, recall.kill_grace, recall.obstacle
    )
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
    lock.recall = Recall(recall.reason, recall.by, recall.note, recall.since, recall.deadline, recall.kill_grace, why)
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


def released(turn: Turn, event: ReleaseRequested) -> None:
    session = turn.state.sessions[event.session]
    lock = own(turn, session, event.msgid, event.lock)
    if lock is None:
        return
    lock.depth -= 1
    if lock.depth == 0:
        end(turn, lock, "released")
    turn.answer(session.id, event.msgid, lock=lock.id, held_for=turn.now - lock.granted_at, held=lock.depth > 0)


def extended(turn: Turn, event: ExtendRequested) -> None:
    session = turn.state.sessions[event.session]
    lock = own(turn, session, event.msgid, event.lock)
    if lock is None:
        return
    if lock.recall is not None:
        turn.refuse(
            session.id,
            event.msgid,
            "lost",
            f"{lock.id} is being taken back: {lock.recall.reason}",
            "release it now",
            lock=lock.id,
        )
        return
    latest = lock.granted_at + turn.state.settings.hard_timeout
    lock.ends_at = min(turn.now + event.max_hold, latest)
    turn.deadlines.set(Alarm.HOLD_END, lock.id, lock.ends_at)
    turn.do(LockChanged(lock))
    turn.answer(session.id, event.msgid, lock=lock.id, max_hold=lock.ends_at - turn.now)


def beaten(turn: Turn, event: BeatReported) -> None:
    session = turn.state.sessions[event.session]
    lock = own(turn, session, event.msgid, event.lock)
    if lock is None:
        return
    lock.beat_at = turn.now
    lock.progress = event.progress
    lock.note = event.note
    turn.answer(session.id, event.msgid, lock=lock.id)


def own(turn: Turn, session: Session, msgid: int, lock_id: str | None) -> Lock | None:
    """The lock of this session that is meant; where there is none, the client is told and None comes back."""
    if lock_id is None:
        if len(session.locks) == 1:
            return turn.state.locks[next(iter(session.locks))]
        held = ", ".join(sorted(session.locks)) or "none"
        turn.refuse(
            session.id,
            msgid,
            "not-held",
            f"no lock is named, and this session holds {held}",
            "name the lock" if session.locks else "acquire first",
        )
        return None
    if lock_id in session.locks:
        return turn.state.locks[lock_id]
    turn.refuse(
        session.id,
        msgid,
        "not-held",
        f"this session does not hold {lock_id}",
        "a lock belongs to the session that acquired it, until it is released or lost",
        lock=lock_id,
    )
    return None


def quarantine(turn: Turn, gpu: Gpu, entry: Quarantine) -> None:
    """Looks who is still on a GPU whose holder is gone."""
    gpu.quarantine = entry
    turn.do(QuarantineSet(gpu.uuid, entry))
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


def who(owner: Owner) -> str:
    """An owner for people."""
    name = owner.user or f"uid {owner.uid}"
    return f"{name} (pid {owner.process.pid})"
