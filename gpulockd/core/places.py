"""The places in the queue of those who waited when an earlier daemon ended.

Whose connection outlived that daemon waits on, as if nothing had been. The others are *absent* until they come back.
An absent request cannot be granted: nobody is there to be told. It keeps its place all the same. Its client asks again,
with the key of its session, and goes on as if nothing had been. It has as long as holders have, and no longer than it
would have waited.

From the start on, and for `KEPT_FREE` seconds after the first client is there, as many of the free GPUs as it wants are
kept for it from everybody who came later: clients come back within a second. The first is whoever connects, or whose
connection outlived that daemon, once the door is open. After that those who are there go first, and nothing stands idle
for one who may never come.
"""

from __future__ import annotations

from dataclasses import replace

from .actions import Refused, RequestLeft, Severity, Unwatch, Watch
from .deadlines import Alarm
from .events import Restored
from .forms import who
from .model import Owner, Process, Request, Session, Wish
from .placement import candidates, choose
from .turn import Turn
from .unmet import note

KEPT_FREE = 5.0
"""Seconds after the first client is there. More than another needs that looks for the daemon every half a second."""
ASK_AGAIN = 5.0
"""Seconds from a client's `hello` to its request. One that does not ask again has given up meanwhile."""


def adopted(turn: Turn, number: int | None, owner: Owner) -> Session | None:
    """The session that goes on, if it does: the connection of that number, and the same process at its end."""
    session = None if number is None else turn.state.sessions.get(number)
    return session if session is not None and session.owner.process == owner.process else None


def keep(turn: Turn, event: Restored) -> None:
    """What the journal has kept. Who is dead, or gave no key to be known by, will not ask again."""
    grace = turn.state.settings.reattach_grace
    for request in event.requests:
        # Those that come before this daemon has an epoch of its own would have the same names otherwise.
        turn.requests_made = max(turn.requests_made, request.rank[1])
        if (session := adopted(turn, request.session, request.owner)) is not None:
            _wait_on(turn, session, request)
            continue
        alive = event.alive if request.session not in event.ended else frozenset[Process]()
        wait_end = request.queued_at + request.wish.wait_timeout
        if wait_end <= turn.now:
            _forget(turn, request, "timeout")
            continue
        if request.owner.process not in alive or request.reattach is None:
            _forget(turn, request, "withdrawn")
            continue
        try:
            request.candidates = candidates(turn.state, request.wish)
        except Refused:  # a GPU that is gone; asked again, it is refused for that
            _forget(turn, request, "refused")
            continue
        turn.state.absent[request.id] = request
        turn.deadlines.set(Alarm.PLACE_END, request.id, min(turn.now + grace, wait_end))
        turn.do(Watch(request.owner.process))
    if turn.state.absent:
        turn.deadlines.set(Alarm.KEPT_FREE_END, "", turn.now + grace)


def _forget(turn: Turn, request: Request, how: str) -> None:
    """Its place is gone, `how` being one of the words of `RequestUnmet`."""
    turn.do(RequestLeft(request.id))
    note(turn, request, how)


def somebody_came(turn: Turn) -> None:
    """The door is open, and somebody is there: whoever wants to come back can."""
    if (at := turn.deadlines.get(Alarm.KEPT_FREE_END)) is not None:
        turn.deadlines.set(Alarm.KEPT_FREE_END, "", min(at, turn.now + KEPT_FREE))


def keeps_free(turn: Turn) -> bool:
    """Whether GPUs are still kept free for those who are absent."""
    return bool(turn.state.absent) and turn.deadlines.get(Alarm.KEPT_FREE_END) is not None


def no_more_kept_free(turn: Turn, subject: str) -> None:
    turn.unsettled = turn.unsettled or not turn.slept_through(Alarm.KEPT_FREE_END, subject)


def _wait_on(turn: Turn, session: Session, request: Request) -> None:
    """Its client never knew that the daemon was away, and is answered on the same connection."""
    try:
        request.candidates = candidates(turn.state, request.wish)
    except Refused as refused:  # a GPU that is gone
        refusal = refused.refusal
        _forget(turn, request, "refused")
        turn.refuse(session.id, request.msgid, refusal.code, refusal.message, refusal.hint, **refusal.data)
        return
    turn.queue.add(request)
    session.requests[request.msgid] = request.id
    turn.deadlines.set(Alarm.WAIT_END, request.id, request.queued_at + request.wish.wait_timeout)
    if "queued" in request.wish.notify:
        turn.deadlines.set(Alarm.POSITIONS, "", turn.now)
    turn.unsettled = True


def expect(turn: Turn, session: Session) -> None:
    """A client is back: it will ask again at once, or not at all."""
    for request in _of(turn, session):
        at = turn.deadlines.get(Alarm.PLACE_END, request.id)
        assert at is not None, f"{request.id} is absent without a deadline"
        turn.deadlines.set(Alarm.PLACE_END, request.id, min(at, turn.now + ASK_AGAIN))


def take_back(turn: Turn, session: Session, msgid: int, wish: Wish) -> Request | None:
    """The request that `session` made of an earlier daemon and makes again, as its own; None: it is a new one."""
    same = [request for request in _of(turn, session) if _same(request.wish, wish)]
    if not same:
        return None
    request = min(same, key=lambda each: each.rank)
    _drop(turn, request)
    request.session, request.msgid = session.id, msgid
    # Asked again with what is left of it, the wait ends when that is over. What the daemon filled in stays as it was.
    request.wish = replace(request.wish, wait_timeout=turn.now - request.queued_at + wish.wait_timeout)
    return request


def came_and_went(turn: Turn, session: Session) -> None:
    """A client ended its connection. If it did so without asking again, it gave up while no daemon was there to hear
    it; unless it has another connection with the same key, and may be about to ask on that."""
    if not (absent := _of(turn, session)):
        return
    there = [turn.state.sessions[number] for number in turn.sessions_of.get(session.owner.process, ())]
    if all(each.reattach != session.reattach for each in there):
        for request in absent:
            _give_up(turn, request, "does not want it any more")


def _of(turn: Turn, session: Session) -> list[Request]:
    if not turn.state.absent or session.reattach is None:
        return []
    return [
        request
        for request in turn.state.absent.values()
        if request.reattach == session.reattach and request.owner.process == session.owner.process
    ]


def _same(before: Wish, now: Wish) -> bool:
    """Whether a client asks for the same again: the daemon may fill in other values by now, and the wait is shorter."""
    if now.default_hold and not before.default_hold:
        # Before it was written down whose the hold was, every one read as asked for.
        now = replace(now, default_hold=False)
    return _asked(before) == _asked(now)


def _asked(wish: Wish) -> Wish:
    max_hold = 0.0 if wish.default_hold else wish.max_hold
    return replace(wish, wait_timeout=0.0, max_hold=max_hold, levels=None, variant="")


def not_back(turn: Turn, request_id: str) -> None:
    """It lives, and has not asked again in time."""
    if turn.slept_through(Alarm.PLACE_END, request_id):
        return
    _give_up(turn, turn.state.absent[request_id], "has not come back")


def exited(turn: Turn, process: Process) -> None:
    for request in [each for each in turn.state.absent.values() if each.owner.process == process]:
        _give_up(turn, request, "died")


def _give_up(turn: Turn, request: Request, why: str) -> None:
    _drop(turn, request)
    _forget(turn, request, "withdrawn")
    turn.unsettled = True
    turn.announce(
        "request.withdrawn",
        f"{request.id} of {who(request.owner)}: {why}",
        Severity.DEBUG,
        request=request.id,
        why=why,
    )


def _drop(turn: Turn, request: Request) -> None:
    del turn.state.absent[request.id]
    turn.deadlines.clear(Alarm.PLACE_END, request.id)
    turn.do(Unwatch(request.owner.process))


class Reserve:
    """What is kept of the free GPUs, while later and later requests are looked at."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self._absent = sorted(turn.state.absent.values(), key=lambda each: each.rank, reverse=True)

    def keep(self, free: set[str], request: Request) -> None:
        """Takes out of `free` what absent requests want that come before `request`."""
        while self._absent and self._absent[-1].rank < request.rank:
            absent = self._absent.pop()
            usable = free & absent.candidates
            free.difference_update(choose(self._turn.state, usable, min(len(usable), absent.wish.count)))
