"""Could the daemon grant a GPU to somebody, now or once the holders are done? If not: why."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, TypedDict

from gpulock.documents import SCHEMA_VERSION, GpuView, LockView, StatusDocument

from .answers import Condition


class Health(TypedDict):
    schema_version: int
    status: Literal["ok", "unavailable"]
    reasons: list[str]
    """Empty exactly when `status` is `ok`."""
    host: str
    version: str
    simulated: bool


def health_of(status: StatusDocument) -> Health:
    reasons = _reasons(status)
    return {
        "schema_version": SCHEMA_VERSION,
        "status": "unavailable" if reasons else "ok",
        "reasons": reasons,
        "host": status["host"],
        "version": status["daemon"]["version"],
        "simulated": status["daemon"]["simulated"],
    }


def judge(status: StatusDocument) -> tuple[Condition, list[str]]:
    """How the host is, and what is wrong with it: first whatever stands in the way of every grant."""
    reasons = _reasons(status)
    warnings = [] if reasons else _warnings(status)
    return "critical" if reasons else "warning" if warnings else "healthy", [*reasons, *warnings]


def judge_gpu(status: StatusDocument, gpu: GpuView) -> tuple[Condition, list[str]]:
    """How one GPU is: `critical` is one that nobody could be granted, now or when its holder is done."""
    if obstacle := _obstacle(gpu):
        return "critical", [obstacle]
    warnings = _stalled(lock for lock in status["locks"] if lock["id"] == gpu["lock"])
    return "warning" if warnings else "healthy", warnings


def _warnings(status: StatusDocument) -> list[str]:
    """What is wrong with a host that can grant."""
    warnings = [obstacle for gpu in status["gpus"] if gpu["drained"] is None and (obstacle := _obstacle(gpu))]
    if (lease := status["lease"])["state"] == "late":
        warnings.append(f"the lease is late: {lease['why']}")
    return warnings + _stalled(status["locks"])


def _stalled(locks: Iterable[LockView]) -> list[str]:
    return [f"{lock['id']} is stalled: its task has fallen silent" for lock in locks if lock["stalled"]]


def _reasons(status: StatusDocument) -> list[str]:
    """What stands in the way of every grant. A single GPU that is out of service does not: others go on."""
    reasons: list[str] = []
    if (journal := status["daemon"]["journal"]) != "ok":
        reasons.append(f"the journal cannot be written: {journal}")
    lease = status["lease"]
    if lease["state"] in ("claiming", "degraded"):
        reasons.append(f"the lease is {lease['state']}: {lease['why'] or 'no answer yet'}")
    if not status["gpus"]:
        reasons.append("there is no GPU")
    if reasons:
        return reasons
    obstacles = [_obstacle(gpu) for gpu in status["gpus"]]
    return [obstacle for obstacle in obstacles if obstacle] if all(obstacles) else []


def _obstacle(gpu: GpuView) -> str:
    """Why a GPU could not be granted, even once its holder is done; empty where it could."""
    reasons = list(gpu["blocked"])
    if (quarantine := gpu["quarantine"]) is not None:
        reasons.append(f"in quarantine after {quarantine['lock']}: {quarantine['reason']}")
    return f"GPU {gpu['index']}: {'; '.join(reasons)}" if reasons else ""
