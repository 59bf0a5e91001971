"""Requests that end without a lock, as history keeps them.

One that has waited is recorded by itself: the journal knew it anyway. Those that were refused at once are recorded
many together, for whoever asks again and again without waiting costs the journal nothing and is to go on doing so.
"""

from __future__ import annotations

from .actions import RequestUnmet
from .deadlines import Alarm
from .model import Request
from .turn import Turn

TOGETHER = 60.0
"""Seconds for which refusals are gathered: a daemon that ends takes so many of them with it."""
KINDS = 256
"""Before they differ in more ways than this, they are recorded: clients can name as many tasks as they like."""


def note(turn: Turn, request: Request, how: str) -> None:
    """`request` has left the queue, `how` being one of the words of `RequestUnmet`."""
    if request.recorded:
        turn.do(RequestUnmet(request, turn.now, how))
        return
    kind = (how, request.owner.uid, request.wish.task, request.wish.profile)
    *_, times = turn.turned_away.get(kind, (0,))
    turn.turned_away[kind] = (request, how, turn.now, times + 1)
    if len(turn.turned_away) >= KINDS:
        record_turned_away(turn, "")
    elif turn.deadlines.get(Alarm.TURNED_AWAY) is None:
        turn.deadlines.set(Alarm.TURNED_AWAY, "", turn.now + TOGETHER)


def record_turned_away(turn: Turn, _: str) -> None:
    """Writes down who was refused at once since the last time."""
    turn.deadlines.clear(Alarm.TURNED_AWAY)
    for request, how, at, times in turn.turned_away.values():
        turn.do(RequestUnmet(request, at, how, times))
    turn.turned_away.clear()
