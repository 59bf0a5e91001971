"""The life of a lock: granted, held, ended. What its age leads to is in `aging`, how one is taken back in `recall`."""

from __future__ import annotations

from .actions import LockChanged, LockEnded, LockGranted, Severity, Unwatch
from .deadlines import Alarm
from .events import ExtendRequested, ReleaseRequested
from .forms import finite, grant_view, who
from .model import COUNTER_BITS, Lock, Quarantine, Request, Session
from .placement import Step, move
from .quarantine import LET_GO, enter, let_go
from .turn import Turn

VOLUNTARY = frozenset({"released"})
"""The ends after which a GPU is clear without looking: its holder said so itself."""
ALARMS = (Alarm.AGE, Alarm.SILENCE, Alarm.RECALL_STEP, Alarm.REATTACH_END)
"""Those that concern a lock."""


def grant(turn: Turn, request: Request, gpus: tuple[str, ...]) -> Lock:
    """Makes the lock that answers `request`; the request has left the queue already."""
    session = turn.state.sessions[request.session]
    token = turn.next_token()
    levels = request.wish.levels or turn.state.settings.under(request.wish.profile).levels
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
        ends_at=turn.now + min(request.wish.max_hold, levels.hard),
        levels=levels,
    )
    turn.state.locks[lock.id] = lock
    session.locks.add(lock.id)
    for uuid in gpus:
        gpu = turn.state.gpus[uuid]
        gpu.lock = lock.id
        gpu.tenants[lock.owner.process.pid] = turn.now
        move(turn, gpu, Step.GRANT)
    watch_age(turn, lock)
    turn.do(LockGranted(lock))
    turn.answer(session.id, request.msgid, **grant_view(turn.state, lock, turn.now))
    turn.announce(
        "lock.granted",
        f"{lock.id} granted to {who(lock.owner)}",
        Severity.DEBUG,
        lock=lock.id,
        request=request.id,
        token=token,
        gpus=list(gpus),
        pid=lock.owner.process.pid,
        user=lock.owner.user,
        task=lock.wish.task,
        waited=turn.now - lock.queued_at,
        variant=lock.wish.variant,
    )
    return lock


def watch_age(turn: Turn, lock: Lock) -> None:
    """Sets the alarm for the next level that a lock reaches by its age, or for its end."""
    turn.deadlines.set(Alarm.AGE, lock.id, min(lock.ends_at, lock.granted_at + lock.levels.after(lock.level)))


def end(turn: Turn, lock: Lock, how: str, by: str = "") -> None:
    """Ends a lock. Unless its holder let go itself, its GPUs stand in quarantine until they are seen clear."""
    del turn.state.locks[lock.id]
    if lock.session is None:
        turn.do(Unwatch(lock.owner.process))
    else:
        turn.state.sessions[lock.session].locks.discard(lock.id)
    for alarm in ALARMS:
        turn.deadlines.clear(alarm, lock.id)
    clear, awaited = how in VOLUNTARY, how not in LET_GO
    if lock.recall is not None:
        how, by = lock.recall.reason, lock.recall.by
    turn.do(LockEnded(lock, turn.now, how, by))
    for uuid in lock.gpus:
        if (gpu := turn.state.gpus.get(uuid)) is not None:
            gpu.lock = None
        if not clear:
            enter(turn, uuid, Quarantine(turn.now, lock.id, lock.owner, how, awaited=awaited))
        elif gpu is not None:
            move(turn, gpu, Step.LET_GO)
    turn.announce(
        "lock.ended",
        f"{lock.id} of {who(lock.owner)} ended: {how}",
        Severity.DEBUG if clear and lock.recall is None else Severity.INFO,
        lock=lock.id,
        token=lock.token,
        gpus=list(lock.gpus),
        pid=lock.owner.process.pid,
        user=lock.owner.user,
        task=lock.wish.task,
        waited=lock.granted_at - lock.queued_at,
        held=turn.now - lock.granted_at,
        how=how,
        by=by,
    )


def released(turn: Turn, event: ReleaseRequested) -> None:
    """A holder lets go. One whose lock has ended meanwhile is told so, and believed all the same."""
    session = turn.state.sessions[event.session]
    if event.lock is not None and event.lock not in session.locks:
        let_go(turn, session.owner.process, event.lock)
    lock = own(turn, session, event.msgid, event.lock)
    if lock is None:
        return
    lock.depth -= 1
    if lock.depth == 0:
        end(turn, lock, "released")
    else:
        turn.do(LockChanged(lock))
    if event.msgid is not None:
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
    lock.ends_at = min(turn.now + event.max_hold, lock.granted_at + lock.levels.hard)
    watch_age(turn, lock)
    turn.do(LockChanged(lock))
    turn.answer(session.id, event.msgid, lock=lock.id, max_hold=finite(lock.ends_at - turn.now))


def own(turn: Turn, session: Session, msgid: int | None, lock_id: str | None) -> Lock | None:
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
