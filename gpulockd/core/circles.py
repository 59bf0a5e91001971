"""Holders that wait for each other: the request that would close such a circle is refused instead of queued.

A request *stands on* the locks that it comes from inside of (`nesting.outer_locks`): while it waits, they are not let
go. One that wants any of several GPUs may still be served by a holder that is not stuck, so a circle alone says
nothing; what counts is who can never be served, found as in Knapp, *Deadlock detection in distributed databases*
(ACM Computing Surveys 19(4), 1987), for the AND-OR model: take everybody who waits for stuck, and clear those who
could be served by whoever is not, until nothing changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .forms import who
from .model import Lock, Request, State
from .nesting import outer_locks
from .turn import Turn


@dataclass(frozen=True, slots=True)
class Link:
    """One who holds what the link before waits for, and waits for what the next one holds."""

    request: Request
    lock: Lock
    """What the request stands on."""
    waits_for: tuple[str, ...]
    """UUIDs."""


def closed_by(turn: Turn, request: Request) -> list[Link]:
    """The circle that `request`, which waits, has closed, beginning with it; empty if it has closed none."""
    state = turn.state
    if not _stands_on(turn, request):
        return []
    stuck = {each.id: locks for each in state.requests.values() if (locks := _stands_on(turn, each))}
    while True:
        kept = {lock.id for locks in stuck.values() for lock in locks}
        served = [name for name in stuck if _could_be_served(state, state.requests[name], kept)]
        if not served:
            break
        for name in served:
            del stuck[name]
    return _around(state, stuck, request) if request.id in stuck else []


def story(state: State, circle: Sequence[Link]) -> str:
    """Who holds what and waits for what, for people."""
    return "; ".join(
        f"{who(link.lock.owner)} holds {_names(state, link.lock.gpus)} as {link.lock.id} and "
        f"{_through(link)}waits for {_names(state, link.waits_for)}"
        for link in circle
    )


def view(state: State, circle: Sequence[Link]) -> list[dict[str, object]]:
    """The same for programs."""
    return [
        {
            "lock": link.lock.id,
            "user": link.lock.owner.user,
            "pid": link.lock.owner.process.pid,
            "task": link.lock.wish.task,
            "holds": _indexes(state, link.lock.gpus),
            "waits_for": _indexes(state, link.waits_for),
            "waiting_pid": link.request.owner.process.pid,
        }
        for link in circle
    ]


def _stands_on(turn: Turn, request: Request) -> list[Lock]:
    return outer_locks(turn, turn.state.sessions[request.session], request.wish.within)


def _could_be_served(state: State, request: Request, kept: set[str]) -> bool:
    """Whether it could be, if all locks but these were let go."""
    return sum(state.gpus[uuid].lock not in kept for uuid in request.candidates) >= request.wish.count


def _around(state: State, stuck: dict[str, list[Lock]], closing: Request) -> list[Link]:
    """The shortest way from `closing` back to itself, over those who are stuck."""
    standing: dict[str, list[str]] = {}
    for name, locks in stuck.items():
        for lock in locks:
            standing.setdefault(lock.id, []).append(name)
    ways: list[tuple[list[Request], list[Lock]]] = [([closing], [])]
    seen: set[str] = set()
    for requests, wanted in ways:  # which grow meanwhile
        for lock in _wanted(state, requests[-1]):
            for name in standing.get(lock.id, ()):
                if name == closing.id:
                    return _links(requests, [*wanted, lock])
                if name not in seen:
                    seen.add(name)
                    ways.append(([*requests, state.requests[name]], [*wanted, lock]))
    return []


def _wanted(state: State, request: Request) -> list[Lock]:
    held = {state.gpus[uuid].lock for uuid in request.candidates} - {None}
    return sorted((state.locks[lock] for lock in held if lock is not None), key=lambda lock: lock.token)


def _links(requests: Sequence[Request], wanted: Sequence[Lock]) -> list[Link]:
    """Each of `requests` waits for the lock of its own place, and stands on that of the place before."""
    return [
        Link(request, wanted[place - 1], tuple(uuid for uuid in wanted[place].gpus if uuid in request.candidates))
        for place, request in enumerate(requests)
    ]


def _through(link: Link) -> str:
    """Who waits, where that is another process than the holder: one that was started under the lock."""
    return "" if link.request.owner.process == link.lock.owner.process else f"{who(link.request.owner)} in it "


def _indexes(state: State, uuids: Sequence[str]) -> list[int]:
    return sorted(state.gpus[uuid].identity.index for uuid in uuids if uuid in state.gpus)


def _names(state: State, uuids: Sequence[str]) -> str:
    return ", ".join(f"GPU {index}" for index in _indexes(state, uuids))
