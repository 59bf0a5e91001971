"""What is true of the state after every event. `check` costs time in proportion to the state: for tests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from .deadlines import Alarm
from .gpus import by_index
from .machine import Machine
from .model import GpuState, LockState, State
from .placement import gates
from .places import keeps_free


class InvariantBroken(AssertionError):
    """The core contradicts itself; the message lists every contradiction."""


def check(machine: Machine) -> None:
    """Raises `InvariantBroken` where anything does not hold."""
    broken = list(_broken(machine))
    if broken:
        raise InvariantBroken("\n".join(broken))


def recorded(state: State) -> set[str]:
    """The ids of the requests that a journal has, once it has every record so far: those of the present ones that it
    was told of, and no other."""
    present = (*state.requests.values(), *state.absent.values())
    return {request.id for request in present if request.recorded}


def _broken(machine: Machine) -> Iterator[str]:
    yield from _gpus(machine.state)
    yield from _locks(machine.state)
    yield from _sessions(machine.state)
    yield from _queue(machine)
    yield from _deadlines(machine)


def _gpus(state: State) -> Iterator[str]:
    for uuid, gpu in state.gpus.items():
        if (gpu.state is GpuState.HELD) != (gpu.lock is not None):
            yield f"{uuid} is {gpu.state.value}, and its lock is {gpu.lock}"
        if (gpu.state is GpuState.QUARANTINED) != (gpu.quarantine is not None):
            yield f"{uuid} is {gpu.state.value}, and its quarantine is {gpu.quarantine}"
        if gpu.lock is not None and uuid not in state.locks[gpu.lock].gpus:
            yield f"{uuid} says it is held by {gpu.lock}, which does not hold it"
        if gpu.epoch is not None and gpu.elsewhere is not None:
            yield f"{uuid} is leased here and elsewhere"
    if state.all_gpus != frozenset(state.gpus):
        yield "all_gpus are not all GPUs"
    if state.by_index != by_index(state):
        yield "by_index has not every GPU at its index"


def _locks(state: State) -> Iterator[str]:
    tokens = [lock.token for lock in state.locks.values()]
    if len(set(tokens)) < len(tokens):
        yield "two locks have one token"
    if any(token > state.last_token for token in tokens):
        yield "a token is larger than the last one given out"
    held = [uuid for lock in state.locks.values() for uuid in lock.gpus if uuid in state.gpus]
    if len(set(held)) < len(held):
        yield "law 1: a GPU is in two locks"
    for lock in state.locks.values():
        for uuid in lock.gpus:
            if uuid in state.gpus and state.gpus[uuid].lock != lock.id:
                yield f"{lock.id} holds {uuid}, which says {state.gpus[uuid].lock}"
        if lock.session is not None and lock.id not in state.sessions[lock.session].locks:
            yield f"{lock.id} is not among its session's locks"
        if (lock.state is LockState.HELD) != (lock.recall is None):
            yield f"{lock.id} is {lock.state.value}, and its recall is {lock.recall}"
        if lock.depth < 1:
            yield f"{lock.id} is held {lock.depth} times"


def _sessions(state: State) -> Iterator[str]:
    for session in state.sessions.values():
        for lock in session.locks:
            if lock not in state.locks or state.locks[lock].session != session.id:
                yield f"session {session.id} names {lock}, which is not its own"
        for msgid, request in session.requests.items():
            if request not in state.requests or state.requests[request].msgid != msgid:
                yield f"session {session.id} names {request}, which does not wait"


def _queue(machine: Machine) -> Iterator[str]:
    state = machine.state
    for request in state.requests.values():
        if request.session not in state.sessions:
            yield f"{request.id} waits for a session that is gone"
        if not request.candidates <= state.all_gpus:
            yield f"{request.id} waits for GPUs that do not exist"
    if machine.turn.queue.of_user != Counter(request.owner.uid for request in state.requests.values()):
        yield f"requests are counted by user as {dict(machine.turn.queue.of_user)}"
    idle = {uuid for uuid, gpu in state.gpus.items() if gpu.state is GpuState.FREE and not gates(state, gpu)}
    if idle != machine.turn.idle:
        yield f"idle GPUs are {sorted(idle)}, and the index says {sorted(machine.turn.idle)}"
    if state.journal_fault is None and idle and not keeps_free(machine.turn):
        first = min(state.requests.values(), key=lambda request: request.rank, default=None)
        if first is not None and len(idle & first.candidates) >= first.wish.count:
            yield f"law 4: {first.id} is first, could be granted, and waits"


def _deadlines(machine: Machine) -> Iterator[str]:
    deadlines = machine.turn.deadlines
    for request in machine.state.requests.values():
        at = deadlines.get(Alarm.WAIT_END, request.id)
        if (at is None) != (request.wish.wait_timeout == float("inf")):
            yield f"{request.id} waits {request.wish.wait_timeout} s, and its deadline is {at}"
    for request in machine.state.absent.values():
        if deadlines.get(Alarm.PLACE_END, request.id) is None:
            yield f"{request.id} is absent, and may stay so for ever"
        if request.id in machine.state.requests:
            yield f"{request.id} is absent, and waits"
    for lock in machine.state.locks.values():
        if lock.session is None and deadlines.get(Alarm.REATTACH_END, lock.id) is None:
            yield f"{lock.id} has no session, and may stay so for ever"
    for uuid, gpu in machine.state.gpus.items():
        looked_at = uuid in machine.turn.inspecting or deadlines.get(Alarm.QUARANTINE_RECHECK, uuid) is not None
        if gpu.quarantine is not None and not (looked_at or gpu.quarantine.awaited):
            yield f"{uuid} stands in quarantine, and nobody looks again"
