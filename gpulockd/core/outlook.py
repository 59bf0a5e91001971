"""What those who wait are told: who is in their way, at which place they stand, and until when."""

from __future__ import annotations

import math

from .actions import Notify
from .forms import who
from .model import Lock, Request
from .placement import FRESH, choose, gates
from .turn import Turn
from .views import queue_places

POSITION_INTERVAL = 1.0
"""Seconds between two tellings of everybody's position, at the least."""


def only_the_lease(turn: Turn, request: Request) -> bool:
    gpus = [turn.state.gpus[uuid] for uuid in request.candidates]
    return all(gpu.epoch is None or turn.state.lease.state not in FRESH for gpu in gpus)


def in_the_way(turn: Turn, request: Request) -> dict[str, object]:
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
