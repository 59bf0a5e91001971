"""The life of a request: arrived, waiting, and then granted, timed out or withdrawn."""

from __future__ import annotations

import math

from . import circles, nesting, places, unmet
from .actions import Notify, Refused, RequestLeft, RequestWaits, Severity
from .deadlines import Alarm
from .events import AcquireRequested, CancelRequested
from .forms import who
from .lock import grant
from .model import Lock, Request, Session, Wish
from .placement import FRESH, candidates, choose, gates, reachable
from .queue import rank
from .turn import Turn
from .views import queue_places

POSITION_INTERVAL = 1.0
"""Seconds between two tellings of everybody's position, at the least."""


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
    if _refused_for_its_user(turn, session, event.msgid):
        return
    if (request := places.take_back(turn, session, event.msgid, wish)) is None:
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
            _answer_siblings(turn, turn.state.sessions[request.session])
        if not free:
            return


def _answer_siblings(turn: Turn, session: Session) -> None:
    """Answers the requests of a session that would wait for the lock it was just granted."""
    for msgid, request_id in list(session.requests.items()):
        request = turn.state.requests[request_id]
        if nesting.answered(turn, session, msgid, request.wish, request.candidates):
            _leave(turn, request)
        else:
            _refused_as_circle(turn, request)


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
    facts = _in_the_way(turn, request)
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
    facts = _in_the_way(turn, request)
    code = "busy"
    if not facts["holders"] and _only_the_lease(turn, request):
        code = "lease-unavailable"
    unmet.note(turn, request, "busy" if code == "busy" else "refused")
    turn.refuse(request.session, request.msgid, code, str(facts["why"]), "wait for it, or gpulockctl status", **facts)
    _announce_refusal(turn, request, code)


def _announce_refusal(turn: Turn, request: Request, code: str) -> None:
    variant = request.wish.variant
    turn.announce(
        "request.refused", f"{request.id}: {code}", Severity.DEBUG, request=request.id, code=code, variant=variant
    )


def _only_the_lease(turn: Turn, request: Request) -> bool:
    gpus = [turn.state.gpus[uuid] for uuid in request.candidates]
    return all(gpu.epoch is None or turn.state.lease.state not in FRESH for gpu in gpus)


def _in_the_way(turn: Turn, request: Request) -> dict[str, object]:
    """Who holds what the request waits for, and what else keeps it from being granted."""
    reasons: list[str] = []
    holders: list[dict[str, object]] = []
    for uuid in choose(turn.state, request.candidates, len(request.candidates)):
        gpu = turn.state.gpus[uuid]
        name = f"GPU {gpu.identity.index}"
        if gpu.lock is not None:
            lock = turn.state.locks[gpu.lock]
            task = f" for {lock.wish.task}" if lock.wish.task else ""
            reasons.append(f"{name} is held by {who(lock.owner)}{task} as {lock.id}")
            holders.append(holder_view(turn, lock, gpu.identity.index))
        elif gpu.quarantine is not None:
            reasons.append(f"{name} is in quarantine after {gpu.quarantine.lock}")
        else:
            reasons.extend(f"{name} is {gate}" for gate in gates(turn.state, gpu))
    why = "; ".join(reasons[:3]) + (f"; and {len(reasons) - 3} more" if len(reasons) > 3 else "")
    return {"why": why or "others came first", "holders": holders[:8]}


def holder_view(turn: Turn, lock: Lock, index: int) -> dict[str, object]:
    return {
        "gpu": index,
        "lock": lock.id,
        "user": lock.owner.user,
        "pid": lock.owner.process.pid,
        "task": lock.wish.task,
        "held_for": turn.now - lock.granted_at,
    }


def tell_positions(turn: Turn, _: str) -> None:
    """Tells those who asked, and whose place has changed, where they stand."""
    holders: list[dict[str, object]] | None = None
    for position, request in queue_places(turn.state):
        if "queued" not in request.wish.notify or position == request.told_position:
            continue
        if holders is None:
            holders = [
                holder_view(turn, turn.state.locks[gpu.lock], gpu.identity.index)
                for gpu in turn.state.gpus.values()
                if gpu.lock is not None
            ]
        request.told_position = position
        mine = [holder for holder in holders if _concerns(turn, request, holder)]
        params = {
            "request": request.id,
            "position": position,
            "ahead": position - 1,
            "eta": _latest(turn, request, position),
            "holders": mine[:8],
        }
        turn.do(Notify(request.session, "queued", params))


def _concerns(turn: Turn, request: Request, holder: dict[str, object]) -> bool:
    lock = turn.state.locks[str(holder["lock"])]
    return not request.candidates.isdisjoint(lock.gpus)


def _latest(turn: Turn, request: Request, position: int) -> float | None:
    """Seconds by which its turn comes if every holder uses all of its time; None where that cannot be said."""
    ends = sorted(
        turn.state.locks[gpu.lock].ends_at - turn.now
        for gpu in (turn.state.gpus[uuid] for uuid in request.candidates)
        if gpu.lock is not None
    )
    needed = position - 1 + request.wish.count
    if needed > len(ends) or math.isinf(ends[needed - 1]):
        return None
    return max(0.0, ends[needed - 1])
