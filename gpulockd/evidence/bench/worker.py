"""A worker of the benchmark: a process that does tasks, one after the other, and tells how each went.

python -m gpulockd.evidence.bench.worker    reads an order from standard input, one line of JSON, and says `ready`; at
the next line it begins, and writes a line of JSON for each task. Then it reads the next order.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Protocol

from gpulock import kernel

from .outcomes import Outcome
from .tasks import Task

BACKOFF = 1.5
"""How much longer each pause of the older way is than the one before."""
_RELEASE = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0"


class TimedOut(Exception):
    """The lock was not had within the longest wait."""


class Lock(Protocol):
    def open(self) -> None:
        """Connects, before anything is measured."""

    def held(self, task: str) -> contextlib.AbstractContextManager[Mapping[str, str]]:
        """Waits for the lock, and gives the environment of what runs under it. Raises `TimedOut`."""
        ...


class Pushed:
    """The daemon's lock."""

    def __init__(self, socket: str) -> None:
        self._socket = socket

    def open(self) -> None:
        import gpulock

        with gpulock.Client(self._socket) as client:
            client.call("queue")

    @contextlib.contextmanager
    def held(self, task: str) -> Iterator[Mapping[str, str]]:
        import gpulock

        try:
            lock = gpulock.acquire(task=task, socket=self._socket)
        except gpulock.LockTimeout as error:
            raise TimedOut from error
        with lock:
            yield lock.env


class Polled:
    """What the daemon replaces: a key for each GPU, SET NX with an expiry, tried again after ever longer pauses."""

    def __init__(self, url: str, keys: Sequence[str], settings: Mapping[str, Any]) -> None:
        self._url, self._keys = url, keys
        self._first, self._longest = settings["gpu_lock.poll_interval"], settings["gpu_lock.max_poll_interval"]
        self._factor = BACKOFF if settings["gpu_lock.exponential_backoff"] else 1.0
        self._patience, self._expiry = settings["gpu_lock.max_wait_time"], settings["gpu_lock.lock_timeout"]

    def open(self) -> None:
        import redis

        self._redis = redis.Redis.from_url(self._url)
        self._release = self._redis.register_script(_RELEASE)
        self._redis.ping()

    @contextlib.contextmanager
    def held(self, task: str) -> Iterator[Mapping[str, str]]:  # noqa: ARG002  # as for the daemon
        token = uuid.uuid4().hex
        key = self._wait(token)
        try:
            yield {"CUDA_VISIBLE_DEVICES": str(self._keys.index(key))}
        finally:
            self._release(keys=[key], args=[token])

    def _wait(self, token: str) -> str:
        end, pause = time.monotonic() + self._patience, self._first
        while True:
            for key in self._keys:
                if self._redis.set(key, token, nx=True, px=max(1, int(self._expiry * 1000))):
                    return key
            left = end - time.monotonic()
            if left <= 0:
                raise TimedOut
            time.sleep(min(pause, left))
            pause = max(self._first, min(pause * self._factor, self._longest))


def work(lock: Lock, task: Task, command: Sequence[str]) -> Outcome:
    """One task, after its pause."""
    time.sleep(task.pause)
    wanted = time.monotonic()
    try:
        with lock.held(task.kind) as environment:
            waited = time.monotonic() - wanted
            fault = _run(command, environment) if command else _sleep(task.hold)
    except TimedOut:
        waited = time.monotonic() - wanted
        return Outcome(task.kind, "timeout", waited, waited)
    except Exception as error:  # noqa: BLE001  # whatever keeps a task from being done is what is measured
        waited = time.monotonic() - wanted
        return Outcome(task.kind, "failed", waited, waited, f"{type(error).__name__}: {error}")
    total = time.monotonic() - wanted
    return Outcome(task.kind, "failed" if fault else "done", waited, total, fault)


def _sleep(seconds: float) -> str:
    """What a GPU is busy with costs the processor nothing. It never fails."""
    time.sleep(seconds)
    return ""


def _run(command: Sequence[str], environment: Mapping[str, str]) -> str:
    """Why it failed; empty where it did not."""
    done = subprocess.run(
        command,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        preexec_fn=functools.partial(kernel.die_with_parent, os.getpid()),
        check=False,
    )
    return f"{command[0]} ended with {done.returncode}" if done.returncode else ""


def main() -> None:
    while line := sys.stdin.readline():
        order = json.loads(line)
        lock = _lock(order)
        lock.open()
        print("ready", flush=True)
        if not sys.stdin.readline():
            return
        for fields in order["tasks"]:
            print(json.dumps(asdict(work(lock, Task(*fields), order["command"]))), flush=True)


def _lock(order: Mapping[str, Any]) -> Lock:
    if order["way"] == "daemon":
        return Pushed(order["socket"])
    return Polled(order["redis"], order["keys"], order["settings"])


if __name__ == "__main__":
    main()
