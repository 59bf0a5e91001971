"""The life of a session: opened, introduced, perhaps reattached to what it held, closed."""

from __future__ import annotations

from . import aging, places, quarantine, recall
from .actions import Disconnect, LockChanged, Severity, Unwatch, Watch
from .deadlines import Alarm
from .events import DoorOpened, ProcessExited, Restored, SessionAdopted, SessionClosed, SessionIntroduced, SessionOpened
from .forms import grant_view, who
from .lock import end
from .model import GpuState, Lock, Session
from .placement import Step, move, regate_all
from .requests import rekey, withdraw
from .turn import Turn


def opened(turn: Turn, event: SessionOpened) -> None:
    _enter(turn, Session(event.session, event.owner))
    if turn.state.absent:
        places.somebody_came(turn)


def adopted(turn: Turn, event: SessionAdopted) -> None:
    _enter(turn, Session(event.session, event.owner, event.client, event.key))


def door_opened(turn: Turn, _: DoorOpened) -> None:
    """Clients whose connections outlived the earlier daemon are there already."""
    if turn.state.sessions:
        places.somebody_came(turn)


def _enter(turn: Turn, session: Session) -> None:
    turn.state.sessions[session.id] = session
    turn.sessions_of.setdefault(session.owner.process, set()).add(session.id)


def introduced(turn: Turn, event: SessionIntroduced) -> None:
    """A `hello`. Locks that the same process held over a lost connection go on in this session."""
    session = turn.state.sessions[event.session]
    session.client = event.client
    if session.reattach != event.key:
        session.reattach = event.key
        rekey(turn, session)
    places.expect(turn, session)
    for lock in list(turn.state.locks.values()):
        if lock.session == session.id:
            _rekey(turn, lock, session)
        elif _is_back(lock, session, event.reattach):
            lock.session = session.id
            session.locks.add(lock.id)
            turn.deadlines.clear(Alarm.REATTACH_END, lock.id)
            turn.do(Unwatch(lock.owner.process))
            _rekey(turn, lock, session)
            turn.announce("lock.reattached", f"{who(lock.owner)} is back for {lock.id}", **_facts(lock))
    locks = [turn.state.locks[lock] for lock in sorted(session.locks)]
    views = [grant_view(turn.state, lock, turn.now) for lock in locks]
    turn.answer(session.id, event.msgid, **event.answer, session=session.id, locks=views)
    for lock in locks:
        # What was told to an earlier connection may have been lost with it.
        aging.tell(turn, lock)
        recall.tell(turn, lock)


def _rekey(turn: Turn, lock: Lock, session: Session) -> None:
    lock.reattach = session.reattach
    turn.do(LockChanged(lock))


def _is_back(lock: Lock, session: Session, key: str | None) -> bool:
    return (
        lock.session is None
        and key is not None
        and lock.reattach == key
        and lock.owner.process == session.owner.process
    )


def closed(turn: Turn, event: SessionClosed) -> None:
    """The connection is gone: so is everything that hung on it."""
    if (session := turn.state.sessions.get(event.session)) is not None:
        _close(turn, session, event.how)


def _close(turn: Turn, session: Session, how: str) -> None:
    for request in list(session.requests.values()):
        withdraw(turn, turn.state.requests[request], how)
    for lock in sorted(session.locks):
        end(turn, turn.state.locks[lock], how)
    del turn.state.sessions[session.id]
    siblings = turn.sessions_of[session.owner.process]
    siblings.discard(session.id)
    if not siblings:
        del turn.sessions_of[session.owner.process]
    if how == "disconnected":
        places.came_and_went(turn, session)


def exited(turn: Turn, event: ProcessExited) -> None:
    """The kernel says that a process is dead. Its sessions end with it, even if a child keeps a socket open."""
    for number in sorted(turn.sessions_of.get(event.process, ())):
        _close(turn, turn.state.sessions[number], "died")
        turn.do(Disconnect(number))
    for lock in list(turn.state.locks.values()):
        if lock.session is None and lock.owner.process == event.process:
            end(turn, lock, "died")
    places.exited(turn, event.process)
    quarantine.exited(turn, event.process)


def restored(turn: Turn, event: Restored) -> None:
    """What the journal has kept: locks of adopted sessions go on, those of other living owners wait for them, and those
    of dead ones end."""
    state = turn.state
    state.last_token = max(state.last_token, event.highest_token)
    for uuid, reason in event.drains.items():
        if uuid in state.gpus:
            state.gpus[uuid].drained = reason
    _know_clients(turn)
    for uuid in event.tenants.keys() & state.gpus.keys():
        state.gpus[uuid].tenants |= dict.fromkeys(event.tenants[uuid], turn.now)
    for lock in event.locks:
        state.locks[lock.id] = lock
        for uuid in lock.gpus:
            if uuid in state.gpus:
                state.gpus[uuid].lock = lock.id
                state.gpus[uuid].tenants[lock.owner.process.pid] = turn.now
                move(turn, state.gpus[uuid], Step.GRANT)
        session = places.adopted(turn, lock.session, lock.owner)
        if session is None:
            _wait_for_owner(turn, lock, event)
        else:
            session.locks.add(lock.id)
            _resume(turn, lock)
            turn.announce("lock.restored", f"{lock.id} of {who(lock.owner)} goes on", Severity.DEBUG, **_facts(lock))
    places.keep(turn, event)
    for uuid, entry in event.quarantines.items():
        if uuid in state.gpus and state.gpus[uuid].state is GpuState.FREE:
            quarantine.resume(turn, uuid, entry)
    regate_all(turn)


def _know_clients(turn: Turn) -> None:
    """No session says which GPUs its client had before: of those that are still connected, whoever is on a GPU may have
    had it. With the first word of the driver those that are not on it are forgotten."""
    clients = {session.owner.process.pid: turn.now for session in turn.state.sessions.values()}
    for gpu in turn.state.gpus.values():
        gpu.tenants |= clients


def _wait_for_owner(turn: Turn, lock: Lock, event: Restored) -> None:
    """Its connection was lost with the earlier daemon, if not before."""
    disconnected = lock.session in event.ended
    lock.session = None
    turn.do(Watch(lock.owner.process))
    if lock.owner.process not in event.alive:
        end(turn, lock, "died")
    elif disconnected:
        end(turn, lock, "disconnected")
    else:
        turn.deadlines.set(Alarm.REATTACH_END, lock.id, turn.now + turn.state.settings.reattach_grace)
        _resume(turn, lock)
        turn.announce("lock.restored", f"{lock.id} of {who(lock.owner)} is kept for its owner", **_facts(lock))


def _resume(turn: Turn, lock: Lock) -> None:
    """Its deadlines, and what its holder may not have heard any more."""
    aging.resume(turn, lock)
    recall.resume(turn, lock)
    aging.tell(turn, lock)
    recall.tell(turn, lock)


def not_back(turn: Turn, lock_id: str) -> None:
    """The owner lives, but has not come back for its lock within the grace. It has not let go of it, either."""
    if turn.slept_through(Alarm.REATTACH_END, lock_id):
        return
    lock = turn.state.locks[lock_id]
    turn.announce(
        "lock.abandoned", f"{who(lock.owner)} has not come back for {lock.id}", Severity.WARNING, **_facts(lock)
    )
    end(turn, lock, "abandoned")


def _facts(lock: Lock) -> dict[str, object]:
    return {"lock": lock.id, "gpus": list(lock.gpus), "pid": lock.owner.process.pid}
