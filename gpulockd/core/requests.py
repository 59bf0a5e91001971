"""The life of a request: arrived, waiting, and then granted, timed out or withdrawn."""

from __future__ import annotations

from . import circles, nesting, places, unmet
from .actions import Refused, RequestLeft, RequestWaits, Severity
from .deadlines import Alarm
from .events import AcquireRequested, CancelRequested
from .forms import who
from .lock import grant
from .model import Request, Session, Wish
from .outlook import POSITION_INTERVAL, in_the_way, only_the_lease
from .placement import candidates, choose, reachable
from .queue import rank
from .turn import Turn


def acquire(turn: Turn, event: AcquireRequested) -> None:
    """A wish arrives. It is answered now where that can be known now, and queued otherwise."""
    session = turn.state.sessions[event.session]
    wish = event.wish
    try:
        uuids = candidates(turn.state, wish)
    except Refused as refused:
        refusal = refused.refusal
        turn.refuse(session.id, event.msgid, refusal.code, refusal.message, refusal.hint, **refusal.data)
        return
    if _refused_at_the_door(turn, session, event) or nesting.answered(turn, session, event.msgid, wish, uuids):
        return
    # What one user may have is asked of new requests only: whoever comes back was let in by an earlier daemon.
    if (request := places.take_back(turn, session, event.msgid, wish)) is None:
        if _refused_for_its_user(turn, session, event.msgid):
            return
        request = _new(turn, session, event.msgid, wish)
    request.candidates = uuids
    if _granted_at_once(turn, request):
        return
    turn.queue.add(request)
    session.requests[event.msgid] = request.id
    turn.unsettled = True
    settle(turn)
    if request.id in turn.state.requests:
        _wait(turn, session, request)


def _granted_at_once(turn: Turn, request: Request) -> bool:
    """Where nobody waits there is no order to keep, and a request that can be granted never sees the queue."""
    if turn.queue or turn.state.absent or request.recorded:
        return False
    usable = turn.idle & request.candidates
    if len(usable) < request.wish.count:
        return False
    grant(turn, request, choose(turn.state, usable, request.wish.count))
    return True


def _new(turn: Turn, session: Session, msgid: int, wish: Wish) -> Request:
    turn.requests_made += 1
    number = turn.requests_made
    return Request(
        id=f"R{turn.epoch}-{number}",
        session=session.id,
        msgid=msgid,
        owner=session.owner,
        wish=wish,
        candidates=frozenset(),
        queued_at=turn.now,
        rank=rank(turn.now, wish.priority, turn.state.settings.priority_head_start, number),
        reattach=session.reattach,
    )


def _wait(turn: Turn, session: Session, request: Request) -> None:
    """The request could not be granted at once."""
    if request.wish.wait_timeout <= 0:
        _leave(turn, request)
        _refuse_busy(turn, request)
        return
    if _refused_as_circle(turn, request):
        return
    turn.deadlines.set(Alarm.WAIT_END, request.id, request.queued_at + request.wish.wait_timeout)
    _record(turn, request)
    if "queued" in request.wish.notify:
        turn.deadlines.set(Alarm.POSITIONS, "", turn.now)
    turn.announce(
        "request.queued",
        f"{request.id} of {who(session.owner)} waits",
        Severity.DEBUG,
        request=request.id,
        pid=session.owner.process.pid,
        user=session.owner.user,
        task=request.wish.task,
    )


def _record(turn: Turn, request: Request) -> None:
    """It keeps its place over a restart. One that is granted at once never costs the journal anything."""
    request.recorded = True
    turn.do(RequestWaits(request))


def rekey(turn: Turn, session: Session) -> None:
    """The session has another key: those that wait are to be known by it."""
    for request_id in session.requests.values():
        request = turn.state.requests[request_id]
        request.reattach = session.reattach
        _record(turn, request)


def _refused_at_the_door(turn: Turn, session: Session, event: AcquireRequested) -> bool:
    settings = turn.state.settings
    if event.msgid in session.requests:
        turn.refuse(
            session.id,
            event.msgid,
            "invalid-request",
            f"message id {event.msgid} belongs to a request that still waits",
            "give every request its own message id",
        )
    elif turn.state.journal_fault is not None:
        turn.refuse(
            session.id,
            event.msgid,
            "journal-unavailable",
            f"nothing can be granted: {turn.state.journal_fault}",
            "gpulockctl doctor",
        )
    elif len(session.requests) >= settings.max_requests_per_session:
        turn.refuse(
            session.id,
            event.msgid,
            "limit-exceeded",
            f"this session has {len(session.requests)} waiting requests",
            "wait for answers, or raise daemon.max_requests_per_session",
        )
    else:
        return False
    return True


def _refused_for_its_user(turn: Turn, session: Session, msgid: int) -> bool:
    """Whether one user asks for more than one user may, and was told so."""
    uid, settings = session.owner.uid, turn.state.settings
    waiting = turn.queue.of_user[uid]
    if waiting >= settings.max_requests_per_user:
        turn.refuse(
            session.id,
            msgid,
            "limit-exceeded",
            f"uid {uid} has {waiting} waiting requests, as many as one user may have",
            "wait for answers, or raise daemon.max_requests_per_user",
        )
        return True
    return _refused_for_locks(turn, session, msgid)


def _refused_for_locks(turn: Turn, session: Session, msgid: int) -> bool:
    uid, most = session.owner.uid, turn.state.settings.max_locks_per_user
    if len(turn.state.locks) < most or sum(lock.owner.uid == uid for lock in turn.state.locks.values()) < most:
        return False
    turn.refuse(
        session.id,
        msgid,
        "limit-exceeded",
        f"uid {uid} holds {most} locks, as many as one user may",
        "let go of one, or raise daemon.max_locks_per_user",
    )
    return True


def settle(turn: Turn) -> None:
    """Grants whatever can be granted, in order.

    A request that cannot be granted yet may be overtaken by later ones that can, `max_overtakes` times. After that
    the free GPUs it could use are kept for it, as long as mere waiting will bring it the rest.
    """
    if not turn.unsettled:
        return
    turn.unsettled = False
    if not turn.idle or not turn.queue or turn.state.journal_fault is not None:
        return
    free = set(turn.idle)
    passed_over: list[Request] = []
    reserve = places.Reserve(turn) if places.keeps_free(turn) else None
    for request in turn.queue.heads():
        if reserve is not None:
            reserve.keep(free, request)
        count = request.wish.count
        usable = free & request.candidates
        if len(usable) < count:
            if request.overtaken < turn.state.settings.max_overtakes:
                passed_over.append(request)
            elif reachable(turn.state, request.candidates) >= count:
                free -= usable
        elif _refused_for_locks(turn, turn.state.sessions[request.session], request.msgid):
            _leave(turn, request)
            unmet.note(turn, request, "refused")
            _announce_refusal(turn, request, "limit-exceeded")
        else:
            gpus = choose(turn.state, usable, count)
            free.difference_update(gpus)
            for earlier in passed_over:
                if not earlier.candidates.isdisjoint(gpus):
                    earlier.overtaken += 1
                    if earlier.recorded:
                        _record(turn, earlier)
            _leave(turn, request)
            grant(turn, request, gpus)
            if _answer_siblings(turn, turn.state.sessions[request.session]):
                settle(turn)  # anew: one of them may have been passed over, and GPUs kept for it
                return
        if not free:
            return


def _answer_siblings(turn: Turn, session: Session) -> bool:
    """Answers the requests of a session that would wait for the lock it was just granted; whether there were any."""
    waiting = len(session.requests)
    for msgid, request_id in list(session.requests.items()):
        request = turn.state.requests[request_id]
        if how := nesting.answered(turn, session, msgid, request.wish, request.candidates):
            _leave(turn, request)
            if how == "refused":
                unmet.note(turn, request, how)
        else:
            _refused_as_circle(turn, request)
    return len(session.requests) < waiting


def _refused_as_circle(turn: Turn, request: Request) -> bool:
    """Whether the request would wait for ever, for somebody who waits for its own session, and was told so."""
    circle = circles.closed_by(turn, request)
    if not circle:
        return False
    _leave(turn, request)
    unmet.note(turn, request, "deadlock")
    told = circles.story(turn.state, circle)
    turn.refuse(
        request.session,
        request.msgid,
        "deadlock",
        f"nobody would ever let go: {told}",
        "let go of what you hold first, or ask for all GPUs in one request",
        circle=circles.view(turn.state, circle),
    )
    turn.announce(
        "request.deadlocked",
        f"{request.id} is refused: {told}",
        Severity.WARNING,
        request=request.id,
        variant=request.wish.variant,
    )
    return True


def _leave(turn: Turn, request: Request) -> None:
    """Takes a request out of the queue, whatever became of it."""
    turn.queue.remove(request)
    turn.state.sessions[request.session].requests.pop(request.msgid, None)
    turn.deadlines.clear(Alarm.WAIT_END, request.id)
    if request.recorded:
        turn.do(RequestLeft(request.id))
    turn.unsettled = True
    if turn.queue and turn.deadlines.get(Alarm.POSITIONS) is None:
        turn.deadlines.set(Alarm.POSITIONS, "", turn.now + POSITION_INTERVAL)


def withdraw(turn: Turn, request: Request, why: str) -> None:
    """Its client is gone: nobody is there to be told."""
    _leave(turn, request)
    unmet.note(turn, request, "withdrawn")
    waited = turn.now - request.queued_at
    turn.announce(
        "request.withdrawn", f"{request.id}: {why}", Severity.DEBUG, request=request.id, why=why, waited=waited
    )


def cancel(turn: Turn, event: CancelRequested) -> None:
    session = turn.state.sessions[event.session]
    request_id = session.requests.get(event.target)
    if request_id is None:
        turn.refuse(
            session.id,
            event.msgid,
            "invalid-request",
            f"no request with message id {event.target} waits in this session",
            "it was answered already, or never made",
        )
        return
    request = turn.state.requests[request_id]
    _leave(turn, request)
    unmet.note(turn, request, "cancelled")
    turn.refuse(session.id, request.msgid, "cancelled", f"{request.id} was cancelled by its client")
    turn.answer(session.id, event.msgid, request=request.id)
    waited = turn.now - request.queued_at
    turn.announce("request.cancelled", f"{request.id} was cancelled", Severity.DEBUG, request=request.id, waited=waited)


def timed_out(turn: Turn, request_id: str) -> None:
    request = turn.state.requests[request_id]
    waited = turn.now - request.queued_at
    facts = in_the_way(turn, request)
    _leave(turn, request)
    unmet.note(turn, request, "timeout")
    turn.refuse(
        request.session,
        request.msgid,
        "wait-timeout",
        f"no lock after {waited:.1f} s: {facts['why']}",
        "gpulockctl queue shows who waits; a longer wait_timeout waits longer",
        **facts,
        waited=waited,
    )
    owner = turn.state.sessions[request.session].owner
    turn.announce(
        "request.timed-out",
        f"{request.id} of {who(owner)} gave up after {waited:.1f} s",
        request=request.id,
        pid=owner.process.pid,
        user=owner.user,
        task=request.wish.task,
        waited=waited,
        variant=request.wish.variant,
    )


def _refuse_busy(turn: Turn, request: Request) -> None:
    """A caller that does not wait is told at once, with the true reason."""
    facts = in_the_way(turn, request)
    code = "busy"
    if not facts["holders"] and only_the_lease(turn, request):
        code = "lease-unavailable"
    unmet.note(turn, request, "busy" if code == "busy" else "refused")
    turn.refuse(request.session, request.msgid, code, str(facts["why"]), "wait for it, or gpulockctl status", **facts)
    _announce_refusal(turn, request, code)


def _announce_refusal(turn: Turn, request: Request, code: str) -> None:
    variant = request.wish.variant
    turn.announce(
        "request.refused", f"{request.id}: {code}", Severity.DEBUG, request=request.id, code=code, variant=variant
    )
