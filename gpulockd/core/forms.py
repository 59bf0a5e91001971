"""The documents of single things, as `gpulock.documents` describes them: a grant, a GPU, a lock, a request.

The core cannot import that module, so a test holds the forms equal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .model import Gpu, GpuProcess, Lock, Owner, Quarantine, Request, State
from .placement import gates, strangers

Document = dict[str, Any]
SCHEMA_VERSION = 1


def grant_view(state: State, lock: Lock, now: float, *, nested: bool = False) -> Document:
    """The answer to the `acquire` that `lock` was granted for."""
    gpus = [_granted(state.gpus[uuid]) for uuid in lock.gpus if uuid in state.gpus]
    return {
        "lock": lock.id,
        "token": lock.token,
        "gpus": gpus,
        "env": {
            "CUDA_VISIBLE_DEVICES": ",".join(lock.gpus),
            "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
            "GPULOCK_LOCK": lock.id,
            "GPULOCK_TOKEN": str(lock.token),
        },
        "max_hold": finite(lock.ends_at - now),
        "nested": nested,
    }


def _granted(gpu: Gpu) -> Document:
    identity = gpu.identity
    return {
        "index": identity.index,
        "uuid": identity.uuid,
        "name": identity.name,
        "memory_total": identity.memory_total,
    }


def gpu_view(state: State, gpu: Gpu, now: float) -> Document:
    sample, elsewhere = gpu.sample, gpu.elsewhere
    return {
        **_granted(gpu),
        "parent": gpu.identity.parent,
        "memory_used": sample.memory_used,
        "utilization": sample.utilization,
        "state": gpu.state.value,
        "lock": gpu.lock,
        "blocked": gates(state, gpu),
        "drained": gpu.drained,
        "fault": sample.fault,
        "elsewhere": None if elsewhere is None else {"host": elsewhere.host, "pid": elsewhere.pid},
        "clear_by": "holder" if sample.processes is None else "driver",
        "quarantine": None if gpu.quarantine is None else _quarantine(gpu.quarantine, now),
        "processes": None if sample.processes is None else _processes(gpu, sample.processes),
    }


def _processes(gpu: Gpu, processes: Sequence[GpuProcess]) -> list[Document]:
    culprits = {culprit.pid for culprit in gpu.quarantine.culprits} if gpu.quarantine else set()
    kin = gpu.sample.kin if gpu.lock is not None else frozenset()
    foreign = {stranger.pid for stranger in strangers(gpu)}

    def relation(pid: int) -> str:
        if pid in culprits:
            return "culprit"
        if pid in kin:
            return "holder"
        return "foreign" if pid in foreign else "tenant"

    return [_process(each, relation(each.pid)) for each in processes]


def _process(process: GpuProcess, relation: str) -> Document:
    return {
        "pid": process.pid,
        "memory": process.memory,
        "user": process.user,
        "command": process.command,
        "container": process.container,
        "relation": relation,
        "tie": process.tie.value,
    }


def _quarantine(entry: Quarantine, now: float) -> Document:
    return {
        "since": now - entry.since,
        "lock": entry.lock,
        "holder": owner_view(entry.holder),
        "reason": entry.reason,
        "awaited": entry.awaited,
        "culprits": [_process(culprit, "culprit") for culprit in entry.culprits],
    }


def owner_view(owner: Owner) -> Document:
    return {
        "pid": owner.process.pid,
        "uid": owner.uid,
        "user": owner.user,
        "command": owner.command,
        "container": owner.container,
    }


def lock_view(lock: Lock, now: float) -> Document:
    recall = lock.recall
    return {
        "id": lock.id,
        "token": lock.token,
        "gpus": list(lock.gpus),
        "owner": owner_view(lock.owner),
        "task": lock.wish.task,
        "profile": lock.wish.profile,
        "labels": dict(lock.wish.labels),
        "priority": lock.wish.priority,
        "state": lock.state.value,
        "waited": lock.granted_at - lock.queued_at,
        "held_for": now - lock.granted_at,
        "time_left": finite(lock.ends_at - now),
        "connected": lock.session is not None,
        "recall": None
        if recall is None
        else {
            "reason": recall.reason,
            "by": recall.by,
            "note": recall.note,
            "time_left": max(0.0, recall.deadline - now),
            "obstacle": recall.obstacle,
        },
        "level": lock.level.value,
        "stalled": lock.stalled,
        "progress": lock.progress,
        "note": lock.note,
        "beat_age": None if lock.beat_at is None else now - lock.beat_at,
    }


def request_view(request: Request, place: int, now: float) -> Document:
    wish = request.wish
    return {
        "id": request.id,
        "position": place,
        "count": wish.count,
        "selectors": list(wish.selectors),
        "owner": owner_view(request.owner),
        "task": wish.task,
        "priority": wish.priority,
        "waited": now - request.queued_at,
        "time_left": finite(request.queued_at + wish.wait_timeout - now),
        "overtaken": request.overtaken,
    }


def finite(seconds: float) -> float | None:
    return None if math.isinf(seconds) else max(0.0, seconds)


def who(owner: Owner) -> str:
    """An owner for people."""
    name = owner.user or f"uid {owner.uid}"
    return f"{name} (pid {owner.process.pid})"
