"""The board: what the status page shows, made of the status, short enough to be sent to many every second.

Whatever a client named itself is cut: a task's name may have a thousand characters, and a page has no use for them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict

from gpulock.documents import GpuView, LockView, ProcessView, RequestView, StatusDocument

from ..history import Ended
from .answers import Condition
from .health import judge
from .timeline import Bar

LONGEST = 120
"""Characters of anything that is shown."""
MOST_REQUESTS = 1000
"""Requests that are shown, the first in the queue."""
MOST_PROCESSES = 8
"""Processes that are shown of a GPU."""
MOST_ISSUES = 100


class Culprit(TypedDict):
    """A process that is on a GPU and should not be."""

    pid: int
    user: str
    command: str
    memory: int | None


class Quarantined(TypedDict):
    since: float
    """For how long."""
    lock: str
    user: str
    pid: int
    reason: str
    culprits: list[Culprit]


class BoardGpu(TypedDict):
    index: int
    uuid: str
    name: str
    state: Literal["free", "held", "quarantined"]
    lock: str | None
    blocked: list[str]
    memory_total: int
    memory_used: int | None
    utilization: float | None
    quarantine: Quarantined | None
    strangers: list[Culprit]
    """Those that never had a lock on it."""


class BoardLock(TypedDict):
    id: str
    gpus: list[str]
    user: str
    pid: int
    command: str
    task: str
    state: str
    why: str
    """Why it is being taken back; empty: it is not."""
    waited: float
    held_for: float
    time_left: float | None
    level: str
    stalled: bool
    connected: bool
    progress: float | None
    note: str


class BoardRequest(TypedDict):
    id: str
    position: int
    count: int
    wants: str
    """The GPUs that it names; empty: any."""
    user: str
    pid: int
    task: str
    waited: float
    time_left: float | None


class Board(TypedDict):
    """What the page shows. Durations are seconds up to `at`."""

    whole: bool
    """Whether `ended` is all that is known of the past; otherwise it is what is new in it."""
    at: float
    """Wall clock, seconds since 1970."""
    host: str
    version: str
    driver: str
    simulated: bool
    uptime: float
    condition: Condition
    issues: list[str]
    gpus: list[BoardGpu]
    locks: list[BoardLock]
    waiting: int
    queue: list[BoardRequest]
    """The first of those that wait."""
    ended: list[Bar]


def board(status: StatusDocument, at: float, ended: list[Bar], *, whole: bool) -> Board:
    condition, issues = judge(status)
    daemon = status["daemon"]
    return {
        "whole": whole,
        "at": round(at, 3),
        "host": _cut(status["host"]),
        "version": daemon["version"],
        "driver": _cut(daemon["driver"]),
        "simulated": daemon["simulated"],
        "uptime": round(daemon["uptime"], 3),
        "condition": condition,
        "issues": [_cut(issue, 3 * LONGEST) for issue in issues[:MOST_ISSUES]],
        "gpus": [_gpu(gpu) for gpu in status["gpus"]],
        "locks": [_lock(lock) for lock in status["locks"]],
        "waiting": len(status["queue"]),
        "queue": [_request(request) for request in status["queue"][:MOST_REQUESTS]],
        "ended": ended,
    }


def bar_of(ended: Ended) -> Bar:
    """A lock as history tells of it."""
    return _bar(
        ended.lock, ended.gpus, ended.user, ended.task, ended.how, ended.by, ended.waited, ended.held, ended.ended_at
    )


def bar_of_announced(data: Mapping[str, Any], at: float) -> Bar:
    """A lock as the core announces at the wall-clock time `at` that it has ended."""
    return _bar(
        *(data["lock"], data["gpus"], data["user"], data["task"], data["how"], data["by"]),
        *(data["waited"], data["held"], at),
    )


def _bar(
    lock: str,
    gpus: Sequence[str],
    user: str,
    task: str,
    how: str,
    by: str,
    waited: float,
    held: float,
    until: float,
) -> Bar:
    return {
        "id": 0,
        "gpus": list(gpus),
        "locks": 1,
        "lock": lock,
        "user": _cut(user),
        "task": _cut(task),
        "how": how,
        "by": _cut(by),
        "waited": round(waited, 3),
        "since": round(until - held, 3),
        "until": round(until, 3),
    }


def _gpu(gpu: GpuView) -> BoardGpu:
    quarantine = gpu["quarantine"]
    return {
        "index": gpu["index"],
        "uuid": gpu["uuid"],
        "name": _cut(gpu["name"]),
        "state": gpu["state"],
        "lock": gpu["lock"],
        "blocked": [_cut(gate) for gate in gpu["blocked"]],
        "memory_total": gpu["memory_total"],
        "memory_used": gpu["memory_used"],
        "utilization": gpu["utilization"],
        "quarantine": None
        if quarantine is None
        else {
            "since": round(quarantine["since"], 3),
            "lock": quarantine["lock"],
            "user": _cut(quarantine["holder"]["user"]),
            "pid": quarantine["holder"]["pid"],
            "reason": _cut(quarantine["reason"]),
            "culprits": _culprits(quarantine["culprits"]),
        },
        "strangers": _culprits([each for each in gpu["processes"] or () if each["relation"] == "foreign"]),
    }


def _culprits(processes: Sequence[ProcessView]) -> list[Culprit]:
    return [
        {
            "pid": process["pid"],
            "user": _cut(process["user"]),
            "command": _cut(process["command"]),
            "memory": process["memory"],
        }
        for process in processes[:MOST_PROCESSES]
    ]


def _lock(lock: LockView) -> BoardLock:
    owner, recall, left = lock["owner"], lock["recall"], lock["time_left"]
    return {
        "id": lock["id"],
        "gpus": lock["gpus"],
        "user": _cut(owner["user"]),
        "pid": owner["pid"],
        "command": _cut(owner["command"]),
        "task": _cut(lock["task"]),
        "state": lock["state"],
        "why": "" if recall is None else _cut(recall["reason"]),
        "waited": round(lock["waited"], 3),
        "held_for": round(lock["held_for"], 3),
        "time_left": None if left is None else round(left, 3),
        "level": lock["level"],
        "stalled": lock["stalled"],
        "connected": lock["connected"],
        "progress": lock["progress"],
        "note": _cut(lock["note"]),
    }


def _request(request: RequestView) -> BoardRequest:
    owner, left = request["owner"], request["time_left"]
    return {
        "id": request["id"],
        "position": request["position"],
        "count": request["count"],
        "wants": _cut(", ".join(request["selectors"])) if request["selectors"] else "",
        "user": _cut(owner["user"]),
        "pid": owner["pid"],
        "task": _cut(request["task"]),
        "waited": round(request["waited"], 3),
        "time_left": None if left is None else round(left, 3),
    }


def _cut(text: str, longest: int = LONGEST) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"
