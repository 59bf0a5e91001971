"""How a lock that lasts is treated, by its age and by whether its task gets on.

| its task | at `warning` | at `soft_timeout` | at its end |
|---|---|---|---|
| has never beaten | told | asked to finish | taken back |
| beats | told | asked to finish | taken back |
| has beaten, and is silent (stalled) | told | taken back | taken back |

Its end is what its request asked for (`max_hold`) or what `extend` moved it to, and never past `hard_timeout`. A task
that falls silent after the soft timeout is taken back when its silence has lasted for the heartbeat's timeout. Of one
that never beats nothing is known, so its age alone decides. Where nothing is to be taken back, it is only reported.
"""

from __future__ import annotations

from .actions import Notify, Severity
from .deadlines import Alarm
from .events import BeatReported
from .forms import finite, who
from .lock import own, watch_age
from .model import Lock
from .recall import recall
from .settings import Level
from .turn import Turn


def aged(turn: Turn, lock_id: str) -> None:
    """A lock has reached the next of its levels, or its end."""
    lock = turn.state.locks[lock_id]
    if turn.now >= lock.ends_at:
        _overdue(turn, lock, "max-hold", "is past its longest hold")
        return
    lock.level = lock.levels.at(turn.now - lock.granted_at)
    watch_age(turn, lock)
    held = f"{lock.id} has been held for {turn.now - lock.granted_at:.0f} s"
    if lock.level is Level.SOFT:
        asked = f"{who(lock.owner)} is asked to finish: {held}"
        turn.announce("lock.soft-timeout", asked, Severity.WARNING, **_facts(lock))
    else:
        turn.announce("lock.warned", f"{held} by {who(lock.owner)}", Severity.WARNING, **_facts(lock))
    tell(turn, lock)
    _judge(turn, lock)


def resume(turn: Turn, lock: Lock) -> None:
    """Goes on where an earlier daemon stopped. What was reached by then has been announced.

    Silence begins anew: the journal knows at most of an early beat, and later ones may still lie unread in a
    connection that outlived that daemon.
    """
    lock.levels = lock.wish.levels or turn.state.settings.under(lock.wish.profile).levels
    lock.level = lock.levels.at(turn.now - lock.granted_at)
    watch_age(turn, lock)
    if lock.beat_at is not None:
        turn.deadlines.set(Alarm.SILENCE, lock.id, turn.now + turn.state.settings.beat_timeout)


def tell(turn: Turn, lock: Lock) -> None:
    """Tells a holder that asked for it which level its lock has reached."""
    if lock.level is Level.NONE or lock.session is None or "warning" not in lock.wish.notify:
        return
    params = {
        "lock": lock.id,
        "token": lock.token,
        "level": lock.level.value,
        "held_for": turn.now - lock.granted_at,
        "deadline": finite(lock.ends_at - turn.now),
    }
    turn.do(Notify(lock.session, "warning", params))


def beaten(turn: Turn, event: BeatReported) -> None:
    """A task shows that it gets on."""
    session = turn.state.sessions[event.session]
    lock = own(turn, session, event.msgid, event.lock)
    if lock is None:
        return
    lock.beat_at, lock.progress, lock.note = turn.now, event.progress, event.note
    turn.deadlines.set(Alarm.SILENCE, lock.id, turn.now + turn.state.settings.beat_timeout)
    if lock.stalled:
        lock.stalled = False
        turn.announce("lock.recovered", f"the task under {lock.id} gets on again", **_facts(lock))
    turn.answer(session.id, event.msgid, lock=lock.id)


def silent(turn: Turn, lock_id: str) -> None:
    """A task that has beaten has not done so for too long."""
    lock = turn.state.locks[lock_id]
    lock.stalled = True
    turn.announce(
        "lock.stalled",
        f"the task under {lock.id} of {who(lock.owner)} has been silent for "
        f"{turn.state.settings.beat_timeout:.0f} s{f', after: {lock.note}' if lock.note else ''}",
        Severity.WARNING,
        **_facts(lock),
    )
    _judge(turn, lock)


def _judge(turn: Turn, lock: Lock) -> None:
    if lock.stalled and lock.level is Level.SOFT:
        _overdue(turn, lock, "stalled", "is past its soft timeout, and its task is silent")


def _overdue(turn: Turn, lock: Lock, reason: str, said: str) -> None:
    settings = turn.state.settings
    if settings.take_back:
        recall(turn, lock, reason, "gpulockd", "", settings.revoke_grace, settings.kill_grace)
        return
    overdue = f"{lock.id} of {who(lock.owner)} {said}"
    turn.announce("lock.overdue", overdue, Severity.WARNING, **_facts(lock), reason=reason)


def _facts(lock: Lock) -> dict[str, object]:
    return {
        "lock": lock.id,
        "gpus": list(lock.gpus),
        "pid": lock.owner.process.pid,
        "user": lock.owner.user,
        "task": lock.wish.task,
    }
