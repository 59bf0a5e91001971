"""What only administrators may do. Whether a session is one's was decided at the door, by the kernel's word."""

from __future__ import annotations

import math
from collections.abc import Callable

from .actions import DrainSet, Refused, Severity
from .events import DrainRequested, RevokeRequested, UndrainRequested
from .forms import who
from .model import Gpu, Lock, Owner, Quarantine
from .placement import find, regate
from .quarantine import clear
from .recall import recall
from .turn import Turn
from .views import identify


def revoked(turn: Turn, event: RevokeRequested) -> None:
    session = turn.state.sessions[event.session]
    try:
        thing = identify(turn.state, event.subject)
    except Refused as refused:
        _pass_on(turn, event.session, event.msgid, refused)
        return
    if isinstance(thing, Gpu) and thing.lock is not None:
        thing = turn.state.locks[thing.lock]
    if isinstance(thing, Gpu) and thing.quarantine is not None and thing.quarantine.awaited:
        _vouched_for(turn, event, thing, thing.quarantine, _by(session.owner))
        return
    if not isinstance(thing, Lock):
        turn.refuse(
            session.id,
            event.msgid,
            "invalid-request",
            f"there is no lock on {event.subject!r} to take back",
            "gpulockctl status shows the locks",
        )
        return
    settings = turn.state.settings
    if event.grace == math.inf:
        turn.refuse(
            session.id,
            event.msgid,
            "invalid-request",
            "with a grace without an end nothing would ever be taken back",
            "say how long its holder may take to let go",
        )
        return
    grace = settings.revoke_grace if event.grace is None else event.grace
    decided = recall(turn, thing, "revoked", _by(session.owner), event.reason, grace, settings.kill_grace)
    turn.answer(
        session.id,
        event.msgid,
        lock=thing.id,
        pid=thing.owner.process.pid,
        state=thing.state.value,
        deadline=max(0.0, decided.deadline - turn.now),
    )


def _vouched_for(turn: Turn, event: RevokeRequested, gpu: Gpu, entry: Quarantine, by: str) -> None:
    """The GPU waits for the end of a process. Where the kernel cannot tell of it, an administrator's word is enough."""
    pid = entry.holder.process.pid
    if entry.holder.process.start_time != 0 or entry.culprits:
        alive = ", ".join(str(culprit.pid) for culprit in entry.culprits) or str(pid)
        turn.refuse(
            event.session,
            event.msgid,
            "invalid-request",
            f"{entry.lock} has ended already; its GPU waits for the end of pid {alive}",
            f"end that process: kill {alive.replace(',', '')}",
            lock=entry.lock,
            pid=pid,
        )
        return
    turn.announce(
        "gpu.vouched",
        f"GPU {gpu.identity.index} is taken for clear, by {by}: pid {pid} cannot be seen",
        Severity.WARNING,
        gpu=gpu.uuid,
        lock=entry.lock,
        by=by,
        reason=event.reason,
    )
    clear(turn, gpu, entry)
    turn.answer(event.session, event.msgid, lock=entry.lock, pid=pid, state="cleared", deadline=0.0)


def drained(turn: Turn, event: DrainRequested) -> None:
    by = _by(turn.state.sessions[event.session].owner)

    def drain(gpu: Gpu) -> None:
        gpu.drained = event.reason
        turn.do(DrainSet(gpu.uuid, event.reason, by))
        turn.announce(
            "gpu.drained",
            f"GPU {gpu.identity.index} is drained by {by}{': ' + event.reason if event.reason else ''}",
            Severity.WARNING,
            gpu=gpu.uuid,
            by=by,
            reason=event.reason,
        )

    _each(turn, event, drain)


def undrained(turn: Turn, event: UndrainRequested) -> None:
    by = _by(turn.state.sessions[event.session].owner)

    def undrain(gpu: Gpu) -> None:
        if gpu.drained is None:
            return
        gpu.drained = None
        turn.do(DrainSet(gpu.uuid, None, by))
        turn.announce("gpu.undrained", f"GPU {gpu.identity.index} is back in service, by {by}", gpu=gpu.uuid, by=by)

    _each(turn, event, undrain)


def _each(turn: Turn, event: DrainRequested | UndrainRequested, change: Callable[[Gpu], None]) -> None:
    try:
        gpus = list(turn.state.gpus.values()) if event.gpu is None else [find(turn.state, event.gpu)]
    except Refused as refused:
        _pass_on(turn, event.session, event.msgid, refused)
        return
    for gpu in gpus:
        change(gpu)
        regate(turn, gpu)
    turn.answer(event.session, event.msgid, gpus=[gpu.uuid for gpu in gpus])


def _pass_on(turn: Turn, session: int, msgid: int, refused: Refused) -> None:
    refusal = refused.refusal
    turn.refuse(session, msgid, refusal.code, refusal.message, refusal.hint, **refusal.data)


def _by(owner: Owner) -> str:
    return f"{who(owner)}, uid {owner.uid}"
