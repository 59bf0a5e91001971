"""Requests from inside a lock: answered at once, by that lock or by an error, never by a wait on oneself."""

from __future__ import annotations

from typing import Literal

from .actions import LockChanged
from .forms import grant_view
from .model import Lock, Session, Wish
from .turn import Turn


def answered(
    turn: Turn, session: Session, msgid: int, wish: Wish, candidates: frozenset[str]
) -> Literal["nested", "refused"] | None:
    """How a holder that asked from inside its locks was answered; None: nobody did, and nobody was.

    A holder that names other GPUs than its own is no such case: it asks for a further lock.
    """
    outer = outer_locks(turn, session, wish.within)
    if wish.selectors:
        outer = [lock for lock in outer if not candidates.isdisjoint(lock.gpus)]
    if not outer:
        return None
    sufficient = [lock for lock in outer if _suffices(lock, wish, candidates)]
    if not sufficient:
        turn.refuse(
            session.id,
            msgid,
            "nested-request",
            f"the caller holds {outer[0].id} with {len(outer[0].gpus)} GPU(s) already, and asks for more than that",
            "ask for all of them in the outer request",
            lock=outer[0].id,
        )
        return "refused"
    lock = next((lock for lock in sufficient if lock.recall is None), sufficient[0])
    if lock.recall is not None:
        turn.refuse(
            session.id,
            msgid,
            "lost",
            f"the caller runs under {lock.id}, which is being taken back: {lock.recall.reason}",
            "let go of it first",
            lock=lock.id,
        )
        return "refused"
    if lock.session == session.id:
        lock.depth += 1
        turn.do(LockChanged(lock))
    turn.answer(session.id, msgid, **grant_view(turn.state, lock, turn.now, nested=True))
    return "nested"


def _suffices(lock: Lock, wish: Wish, candidates: frozenset[str]) -> bool:
    return candidates <= set(lock.gpus) if wish.selectors else wish.count <= len(lock.gpus)


def outer_locks(turn: Turn, session: Session, within: str | None) -> list[Lock]:
    """The locks that a request comes from inside of, and those that these lie in, the eldest first.

    A stale or foreign name counts for nothing.
    """
    if not session.locks and within is None:
        return []
    found: dict[str, Lock] = {}
    names = [*session.locks, within]
    while names:
        name = names.pop()
        lock = turn.state.locks.get(name) if name else None
        if lock is not None and lock.id not in found and lock.owner.uid == session.owner.uid:
            found[lock.id] = lock
            names.append(lock.wish.within)
    return sorted(found.values(), key=lambda lock: lock.token)
