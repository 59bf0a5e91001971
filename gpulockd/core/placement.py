"""Which GPUs a request can have, and what keeps a GPU from being granted.

A GPU is free, held or quarantined, and moves between them only as `TRANSITIONS` says. Apart from that it may be
gated: drained by an administrator, sick by the driver's word, used by a stranger where that counts, or without a lease
that is fresh enough.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable

from .actions import Refusal, Refused
from .model import Gpu, GpuProcess, GpuState, LeaseState, State, Wish
from .turn import Turn


class Step(enum.StrEnum):
    GRANT = "grant"
    LET_GO = "let go"
    """Its holder gave it back."""
    LEAVE_BEHIND = "leave behind"
    """Its holder is gone without a word: something of it may still be on the GPU."""
    CLEAR = "clear"


TRANSITIONS: dict[tuple[GpuState, Step], GpuState] = {
    (GpuState.FREE, Step.GRANT): GpuState.HELD,
    (GpuState.HELD, Step.LET_GO): GpuState.FREE,
    (GpuState.HELD, Step.LEAVE_BEHIND): GpuState.QUARANTINED,
    (GpuState.FREE, Step.LEAVE_BEHIND): GpuState.QUARANTINED,  # restored from a journal
    (GpuState.QUARANTINED, Step.CLEAR): GpuState.FREE,
}


FRESH = (LeaseState.HELD, LeaseState.LATE)
"""The states of the lease in which it may be granted on."""


def move(turn: Turn, gpu: Gpu, step: Step) -> None:
    """Changes a GPU's state; a `KeyError` here is a bug of the core, not of anybody outside."""
    gpu.state = TRANSITIONS[gpu.state, step]
    regate(turn, gpu)


def regate(turn: Turn, gpu: Gpu) -> None:
    """Keeps `Turn.idle` true after anything about a GPU has changed."""
    if gpu.state is GpuState.FREE and not gates(turn.state, gpu):
        turn.idle.add(gpu.uuid)
        turn.unsettled = True
    else:
        turn.idle.discard(gpu.uuid)


def regate_all(turn: Turn) -> None:
    for gpu in turn.state.gpus.values():
        regate(turn, gpu)


def gates(state: State, gpu: Gpu) -> list[str]:
    """Why a free GPU would not be granted, in words that go on from "the GPU is"; empty where nothing is in the way."""
    reasons: list[str] = []
    if gpu.drained is not None:
        reasons.append(f"drained: {gpu.drained}" if gpu.drained else "drained")
    if gpu.sample.fault is not None:
        reasons.append(f"sick: {gpu.sample.fault}")
    if state.settings.foreign_waits and (foreign := strangers(gpu)):
        reasons.append(f"used without a lock by {', '.join(f'pid {each.pid}' for each in foreign[:3])}")
    if gpu.elsewhere is not None:
        reasons.append(f"leased by host {gpu.elsewhere.host}, pid {gpu.elsewhere.pid}")
    elif gpu.epoch is None:
        reasons.append(f"without a lease: {state.lease.why}" if state.lease.why else "without a lease")
    elif state.lease.state not in FRESH:
        reasons.append(f"on a lease that is too old to grant: {state.lease.why}")
    return reasons


def strangers(gpu: Gpu) -> list[GpuProcess]:
    """Who used it, when the driver was last asked, without ever having had a lock on it."""
    culprits = {culprit.pid for culprit in gpu.quarantine.culprits} if gpu.quarantine is not None else set()
    known = gpu.tenants.keys() | gpu.sample.kin | culprits
    return [process for process in gpu.sample.processes or () if process.pid not in known]


def candidates(state: State, wish: Wish) -> frozenset[str]:
    """The GPUs that `wish` could be granted from.

    Raises `Refused` where that can never be: no such GPU, one named twice, or more than the host has.
    """
    if wish.selectors:
        chosen = [find(state, selector).uuid for selector in wish.selectors]
        if len(set(chosen)) < len(chosen):
            raise Refused(Refusal("unsatisfiable", "the same GPU is asked for twice", "name each GPU once"))
        return frozenset(chosen)
    if wish.count > len(state.gpus):
        has = len(state.gpus)
        raise Refused(
            Refusal(
                "unsatisfiable",
                f"{wish.count} GPUs are asked for, and this host has {has}",
                f"ask for at most {has}",
                {"asked": wish.count, "gpus": has},
            )
        )
    return state.all_gpus


def find(state: State, selector: str) -> Gpu:
    """The GPU that `selector` names: an index, a UUID, or the beginning of one UUID only.

    Raises `Refused` where none or several do.
    """
    if selector.isdecimal() and len(selector) < 6:
        found = [state.gpus[uuid] for uuid in state.by_index.get(int(selector), ())]
    elif selector in state.gpus:
        return state.gpus[selector]
    else:
        found = [gpu for uuid, gpu in state.gpus.items() if _begins(uuid, selector)]
    if len(found) == 1:
        return found[0]
    known = ", ".join(f"{gpu.identity.index}: {gpu.uuid}" for gpu in list(state.gpus.values())[:8])
    problem = f"names {len(found)} GPUs" if found else "names no GPU of this host"
    hint = f"the host has {known}" if known else "the host has no GPU yet"
    raise Refused(Refusal("unknown-gpu", f"{selector!r} {problem}", hint, {"selector": selector}))


def _begins(uuid: str, selector: str) -> bool:
    """Whether the selector begins the UUID, with or without its `GPU-` or `MIG-`."""
    lowered = selector.lower()
    return len(lowered) > 0 and (uuid.lower().startswith(lowered) or uuid.lower()[4:].startswith(lowered))


def choose(state: State, free: Iterable[str], count: int) -> tuple[str, ...]:
    """`count` of the free GPUs, by index."""
    return tuple(sorted(free, key=lambda uuid: state.gpus[uuid].identity.index)[:count])


def reachable(state: State, uuids: frozenset[str]) -> int:
    """How many of these GPUs could become free by mere waiting: not drained, not sick, leased here."""
    return sum(1 for uuid in uuids if not gates(state, state.gpus[uuid]))
