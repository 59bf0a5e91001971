"""Forked processes that do the work and tell what they saw; none outlives the one that started it."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any, TypeAlias

from gpulock import kernel

PATIENCE = 60.0
"""Seconds that a worker may take to say what it was asked for."""

Told: TypeAlias = "Connection[Any, Any]"

_FORK = multiprocessing.get_context("fork")


class WorkerFailed(Exception):
    """A worker ended, or was silent for too long."""


class Worker:
    """A fork of this process that runs `work(told, *arguments)`; `told` is its end of a pipe to here."""

    def __init__(self, work: Callable[..., None], *arguments: Any) -> None:
        self._pipe, theirs = _FORK.Pipe()
        self._process = _FORK.Process(target=_run, args=(os.getpid(), theirs, work, arguments), daemon=True)
        self._process.start()
        theirs.close()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def tell(self, message: object) -> None:
        self._pipe.send(message)

    def hear(self, within: float = PATIENCE) -> Any:
        """What the worker says next; raises `WorkerFailed`."""
        if not self._pipe.poll(within):
            raise WorkerFailed(f"process {self.pid} said nothing for {within:g} s")
        try:
            message = self._pipe.recv()
        except (EOFError, ConnectionResetError) as error:
            self._process.join(PATIENCE)
            raise WorkerFailed(f"process {self.pid} ended with {self._process.exitcode}") from error
        if isinstance(message, BaseException):
            raise WorkerFailed(f"{type(message).__name__}: {message}") from message
        return message

    def hear_in_vain(self, within: float) -> bool:
        """Whether nothing was said for so many seconds."""
        return not self._pipe.poll(within)

    def kill(self) -> None:
        """SIGKILL, without waiting for the end."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def end(self) -> None:
        """Kills it if it still runs, and reaps it."""
        self._process.kill()
        self._process.join()
        self._process.close()
        self._pipe.close()


@contextlib.contextmanager
def crew(count: int, work: Callable[..., None], *arguments: Any) -> Iterator[list[Worker]]:
    """`count` workers, each with its index as the first argument after `told`; all have ended afterwards."""
    workers: list[Worker] = []
    try:
        for index in range(count):
            workers.append(Worker(work, index, *arguments))  # noqa: PERF401  # those that started are to be ended
        yield workers
    finally:
        for worker in workers:
            worker.kill()
        for worker in workers:
            worker.end()


def _run(parent: int, told: Told, work: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    kernel.die_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the one that started this one says when it ends
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        work(told, *arguments)
    except Exception as error:  # noqa: BLE001  # told where it can be dealt with
        told.send(RuntimeError(f"{type(error).__name__}: {error}"))
