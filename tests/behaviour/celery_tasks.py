"""Tasks for a real Celery worker. Its broker and the daemon's socket come from the environment."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from celery import Celery

import gpulock
from gpulock import gpu_lock

app = Celery("celery_tasks", broker=os.environ["BROKER"], backend=os.environ["BROKER"])
app.conf.update(
    broker_connection_retry_on_startup=True,
    task_acks_late=True,
    task_reject_on_worker_lost=False,
    worker_prefetch_multiplier=1,
    worker_hijack_root_logger=False,
    broker_transport_options={"polling_interval": 0.1},
)


@app.task
@gpu_lock(task="unbound")
def unbound(page: int, lock: gpulock.Lock) -> dict[str, Any]:
    return {"page": page, "token": lock.token, "task": lock.task, "pid": os.getpid()}


@app.task(bind=True)
@gpu_lock(set_env=True)
def bound(self: Any, page: int, *, lock: gpulock.Lock) -> dict[str, Any]:
    return {
        "page": page,
        "name": self.name,
        "retries": self.request.retries,
        "env": os.environ["CUDA_VISIBLE_DEVICES"],
        "gpus": [gpu.uuid for gpu in lock.gpus],
        "task": lock.task,
    }


@app.task
@gpu_lock(gpus=3, task="hold")
def hold(seconds: float, diary: str) -> None:
    with Path(diary).open("a") as lines:
        lines.write(f"{os.getpid()}\n")
    time.sleep(seconds)


@app.task
@gpu_lock(task="impatient")
def impatient() -> str:
    return "granted"


@app.task
def who() -> int:
    return os.getpid()
