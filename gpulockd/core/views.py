"""What the state looks like from outside: pure functions that make the documents of `gpulock.documents`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from .actions import Refusal, Refused
from .forms import SCHEMA_VERSION, Document, finite, gpu_view, lock_view, owner_view, request_view
from .model import Gpu, GpuProcess, GpuState, LeaseState, Lock, Quarantine, Request, State, Tie
from .placement import find, gates, reachable


def status(state: State, now: float) -> Document:
    """Everything about the host but the daemon's own figures."""
    return {
        "schema_version": SCHEMA_VERSION,
        "host": state.settings.host,
        "lease": _lease(state, now),
        "gpus": [gpu_view(state, gpu, now) for gpu in _by_index(state)],
        "locks": [lock_view(lock, now) for lock in sorted(state.locks.values(), key=lambda lock: lock.token)],
        "queue": _queue(state, now),
    }


def queue(state: State, now: float) -> Document:
    return {"schema_version": SCHEMA_VERSION, "queue": _queue(state, now)}


def snapshot(state: State, now: float) -> Document:
    """What this host tells the others of itself, short enough to be sent with every heartbeat."""
    return {
        "host": state.settings.host,
        "waiting": len(state.requests),
        "gpus": [_host_gpu(state, gpu, now) for gpu in _by_index(state)],
    }


def describe(state: State, now: float, subject: str) -> Document:
    """All there is to know of one thing. Raises `Refused` for an unknown one."""
    document: Document = {"schema_version": SCHEMA_VERSION, "subject": subject}
    match identify(state, subject):
        case Gpu() as gpu:
            document["gpu"] = gpu_view(state, gpu, now)
            if gpu.lock is not None:
                document["lock"] = lock_view(state.locks[gpu.lock], now)
        case Lock() as lock:
            document["lock"] = lock_view(lock, now)
        case Request() as request:
            document["request"] = request_view(request, _place(state, request), now)
    return document


def why(state: State, now: float, subject: str) -> Document:
    """In sentences, what stands in the way of a thing. Raises `Refused` for an unknown one."""
    kind: str
    match identify(state, subject):
        case Gpu() as gpu:
            kind, reasons = "gpu", _why_gpu(state, gpu, now)
            commands = [f"gpulockctl describe {gpu.identity.index}"]
            if gpu.lock is not None:
                commands.append(f"gpulockctl revoke {gpu.lock}")
            if gpu.quarantine is not None and gpu.quarantine.awaited:
                commands.append(_make_clear(gpu, gpu.quarantine))
            if gpu.drained is not None:
                commands.append(f"gpulockctl undrain {gpu.identity.index}")
        case Lock() as lock:
            kind, reasons = "lock", _why_lock(lock, now)
            commands = [f"gpulockctl describe {lock.id}", f"gpulockctl revoke {lock.id}"]
        case request:
            kind, reasons = "request", _why_request(state, request, now)
            commands = [f"gpulockctl describe {request.id}", "gpulockctl queue"]
    return {"schema_version": SCHEMA_VERSION, "subject": subject, "kind": kind, "reasons": reasons, "next": commands}


def identify(state: State, subject: str) -> Gpu | Lock | Request:
    """What `subject` names: a lock or request by its id, a process by `pid:N`, or else a GPU."""
    if subject in state.locks:
        return state.locks[subject]
    if subject in state.requests:
        return state.requests[subject]
    if subject.startswith("pid:"):
        return _of_process(state, subject)
    try:
        return find(state, subject)
    except Refused as refused:
        raise Refused(
            Refusal(
                "invalid-request",
                f"{subject!r} is no GPU, lock or request of this host",
                "gpulockctl status shows their names; a process is pid:N",
                refused.refusal.data,
            )
        ) from None


def _of_process(state: State, subject: str) -> Lock | Request:
    things: list[Lock | Request] = [*state.locks.values(), *state.requests.values()]
    for thing in things:
        if str(thing.owner.process.pid) == subject.removeprefix("pid:"):
            return thing
    raise Refused(
        Refusal("invalid-request", f"{subject!r} neither holds nor waits", "gpulockctl status", {"subject": subject})
    )


def _why_gpu(state: State, gpu: Gpu, now: float) -> list[str]:
    name = f"GPU {gpu.identity.index}"
    reasons = [f"{name} is {gate}" for gate in gates(state, gpu)]
    if gpu.state is GpuState.FREE:
        return reasons or [f"{name} is free: the next request that it suits is granted it at once"]
    if gpu.quarantine is not None:
        entry = gpu.quarantine
        reasons.append(f"{name} is in quarantine for {now - entry.since:.1f} s after {entry.lock} ({entry.reason})")
        reasons.extend(
            f"pid {culprit.pid} ({_whereabouts(culprit)}) of {entry.lock}{_TIES[culprit.tie]} is still on it:"
            f" {culprit.command}"
            for culprit in entry.culprits
        )
        if any(culprit.tie is Tie.CGROUP for culprit in entry.culprits):
            reasons.append(
                "who is only in the control group of the last holder is waited for and never ended; it counts no more"
                " as soon as another process from there asks the daemon for anything"
            )
        if entry.awaited and not entry.culprits:
            reasons.append(_awaited(entry))
    if gpu.lock is not None:
        reasons.extend(_why_lock(state.locks[gpu.lock], now))
    return reasons


_TIES: Mapping[Tie, str] = {
    Tie.NONE: "",
    Tie.PROCESS: ", the holder itself,",
    Tie.DESCENT: ", a descendant of the holder,",
    Tie.SESSION: ", in the session that the holder led,",
    Tie.GROUP: ", in the process group that the holder led,",
    Tie.CGROUP: ", in the control group that the holder had for itself,",
    Tie.UNKNOWN: ", if it is one, for want of a descriptor to look with,",
}


def _whereabouts(process: GpuProcess) -> str:
    """User, container and memory, as far as they are known."""
    container = f", in container {process.container}" if process.container else ""
    memory = "" if process.memory is None else f", {process.memory / 2**30:.1f} GiB"
    return f"{process.user or 'unknown user'}{container}{memory}"


def _make_clear(gpu: Gpu, entry: Quarantine) -> str:
    process = entry.holder.process
    return f"gpulockctl revoke {gpu.identity.index}" if process.start_time == 0 else f"kill {process.pid}"


def _awaited(entry: Quarantine) -> str:
    holder = entry.holder.process
    if holder.start_time == 0:
        return (
            f"pid {holder.pid} had {entry.lock} and cannot be seen from here, so nobody can tell whether it has ended;"
            " an administrator who knows that it has takes the GPU back"
        )
    return (
        f"pid {holder.pid} had {entry.lock} and lives; where the driver cannot tell who is on a GPU, only its end makes"
        " it clear"
    )


def _why_lock(lock: Lock, now: float) -> list[str]:
    owner = lock.owner
    task = f" for {lock.wish.task}" if lock.wish.task else ""
    holder = f"{owner.user or owner.uid}, pid {owner.process.pid}{task}"
    reasons = [f"{lock.id} is held by {holder}, for {now - lock.granted_at:.1f} s"]
    if lock.session is None:
        reasons.append("its connection went with an earlier daemon; its owner lives and may come back for it")
    if lock.recall is not None:
        reasons.append(f"it is being taken back ({lock.recall.reason}, by {lock.recall.by}): {lock.state.value}")
        if lock.recall.obstacle:
            reasons.append(f"its holder cannot be ended: {lock.recall.obstacle}")
    return reasons


def _why_request(state: State, request: Request, now: float) -> list[str]:
    place = _place(state, request)
    usable = reachable(state, request.candidates)
    reasons = [
        f"{request.id} waits for {request.wish.count} GPU(s) for {now - request.queued_at:.1f} s, as number {place}"
    ]
    if usable < request.wish.count:
        reasons.append(f"of the GPUs it could have only {usable} are in service")
    if state.lease.state is LeaseState.DEGRADED:
        reasons.append(f"nothing is granted at present: {state.lease.why}")
    if state.journal_fault is not None:
        reasons.append(f"nothing is granted at present: {state.journal_fault}")
    for uuid in sorted(request.candidates, key=lambda uuid: state.gpus[uuid].identity.index):
        reasons.extend(_why_gpu(state, state.gpus[uuid], now))
    return list(dict.fromkeys(reasons))  # a lock on several GPUs stands in the way once


def _place(state: State, request: Request) -> int:
    return next(place for place, other in queue_places(state) if other is request)


def queue_places(state: State) -> Iterator[tuple[int, Request]]:
    """Position and request, first to last."""
    return enumerate(sorted(state.requests.values(), key=lambda request: request.rank), 1)


def _by_index(state: State) -> list[Gpu]:
    return sorted(state.gpus.values(), key=lambda gpu: gpu.identity.index)


def _queue(state: State, now: float) -> list[Document]:
    return [request_view(request, place, now) for place, request in queue_places(state)]


def _lease(state: State, now: float) -> Document:
    lease, ttl = state.lease, state.settings.lease_ttl
    return {
        "kind": "local" if math.isinf(ttl) else "redis",
        "state": lease.state.value,
        "ttl": finite(ttl),
        "age": None if lease.renewed_at is None else now - lease.renewed_at,
        "why": lease.why,
        "fault": lease.fault,
        "failures": dict(lease.failures),
    }


def _host_gpu(state: State, gpu: Gpu, now: float) -> Document:
    lock = state.locks.get(gpu.lock) if gpu.lock is not None else None
    return {
        "index": gpu.identity.index,
        "uuid": gpu.uuid,
        "name": gpu.identity.name,
        "state": gpu.state.value,
        "blocked": gates(state, gpu),
        "holder": None if lock is None else owner_view(lock.owner),
        "task": "" if lock is None else lock.wish.task,
        "held_for": None if lock is None else now - lock.granted_at,
    }
