"""A status as it stands a few seconds later, if nothing has happened since."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpulock.documents import GpuView, HostView, LockView, RequestView, StatusDocument


def later(status: StatusDocument, seconds: float) -> StatusDocument:
    """`status` with its times moved on. The lease's age is left out: its renewals are no news, so it is not known."""
    moved: StatusDocument = {
        **status,
        "daemon": {**status["daemon"], "uptime": status["daemon"]["uptime"] + seconds},
        "lease": {**status["lease"], "age": None},
        "gpus": [_gpu(gpu, seconds) for gpu in status["gpus"]],
        "locks": [_lock(lock, seconds) for lock in status["locks"]],
        "queue": [_request(request, seconds) for request in status["queue"]],
    }
    if "fleet" in status:
        moved["fleet"] = [_host(host, seconds) for host in status["fleet"]]
    return moved


def _gpu(gpu: GpuView, seconds: float) -> GpuView:
    quarantine = gpu["quarantine"]
    return gpu if quarantine is None else {**gpu, "quarantine": {**quarantine, "since": quarantine["since"] + seconds}}


def _lock(lock: LockView, seconds: float) -> LockView:
    recall = lock["recall"]
    return {
        **lock,
        "held_for": lock["held_for"] + seconds,
        "time_left": _less(lock["time_left"], seconds),
        "recall": None if recall is None else {**recall, "time_left": max(0.0, recall["time_left"] - seconds)},
        "beat_age": None if lock["beat_age"] is None else lock["beat_age"] + seconds,
    }


def _request(request: RequestView, seconds: float) -> RequestView:
    return {**request, "waited": request["waited"] + seconds, "time_left": _less(request["time_left"], seconds)}


def _host(host: HostView, seconds: float) -> HostView:
    return {**host, "age": host["age"] + seconds}


def _less(time_left: float | None, seconds: float) -> float | None:
    return None if time_left is None else max(0.0, time_left - seconds)
