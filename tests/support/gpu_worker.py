"""A process that uses a GPU, for tests: `python -m tests.support.gpu_worker ROLE GPU`.

    hold GPU    takes the lock of a GPU and memory on it
    leave GPU   takes the lock, and lets a process of its own take the memory: that one outlives it
    take GPU    takes memory on it without asking anybody

Each prints one line of JSON when it is there, and ends with its standard input.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable

import gpulock
from tests.support.cuda import Cuda

MEMORY = 256 << 20
WAIT = 60.0


def hold(gpu: str) -> None:
    with gpulock.acquire(gpus=[gpu], task="gpu-check", wait_timeout=WAIT, set_env=True) as lock:
        granted_at = time.monotonic()
        say(granted_at=granted_at, gpus=[each.uuid for each in lock.gpus], cuda=taken())
        sys.stdin.read()


def leave(gpu: str) -> None:
    with gpulock.acquire(gpus=[gpu], task="gpu-check", wait_timeout=WAIT):
        subprocess.Popen([sys.executable, "-m", "tests.support.gpu_worker", "take", gpu])
        sys.stdin.read()


def take(gpu: str) -> None:
    os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    say(cuda=taken())
    sys.stdin.read()


def taken() -> list[str]:
    """Takes memory, and tells which GPUs CUDA sees."""
    cuda = Cuda()
    cuda.take(MEMORY)
    return cuda.uuids()


def say(**facts: object) -> None:
    print(json.dumps({"pid": os.getpid(), **facts}), flush=True)


ROLES: dict[str, Callable[[str], None]] = {"hold": hold, "leave": leave, "take": take}

if __name__ == "__main__":
    ROLES[sys.argv[1]](sys.argv[2])
