"""The workers: given their tasks block by block, begun together, listened to, and ended whatever happens."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from . import processes
from .outcomes import Outcome
from .tasks import Task

READY_WITHIN = 60.0
"""Seconds for all workers to be up, on a machine that has other things to do."""
_COMMAND = [sys.executable, "-m", "gpulockd.evidence.bench.worker"]


class WorkerFailed(Exception):
    """A worker ended before its tasks were done; the message has its last words."""


class OutOfTime(Exception):
    """A block was not done when the time of the whole run was over."""


class Crew:
    """So many processes, which all have ended when it is left. A block is a `prepare` and a `run`."""

    def __init__(self, count: int, log: Path) -> None:
        """What the workers complain of goes into `log`."""
        self._count, self._log = count, log
        self._workers: list[subprocess.Popen[str]] = []
        self._begun: dict[int, bytes] = {}
        """Of each worker's output, by its descriptor, the line that has not ended yet."""
        self._tasks = 0

    def __enter__(self) -> Self:
        try:
            for _ in range(self._count):
                self._workers.append(
                    processes.start(_COMMAND, self._log, talks=True)
                )  # those that have started are to be ended
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def prepare(self, tasks: Sequence[Sequence[Task]], order: Mapping[str, Any]) -> None:
        """Gives each worker its tasks, and waits until all are connected. `order` is what they are told besides.

        See `worker.main`. Raises `WorkerFailed`.
        """
        self._tasks = sum(map(len, tasks))
        for worker, mine in zip(self._workers, tasks, strict=True):
            _tell(worker, json.dumps({**order, "tasks": mine}))
        try:
            for line, _ in self._lines(time.monotonic() + READY_WITHIN, self._count):
                if line != "ready":
                    raise WorkerFailed(f"a worker said {line!r} before it was ready")
        except OutOfTime:
            raise WorkerFailed(f"the workers were not up within {READY_WITHIN:.0f} s") from None

    def run(self, deadline: float, heard: Callable[[], None]) -> tuple[float, list[Outcome]]:
        """Begins, and returns the seconds that it took and how each task went; `heard` is told of each.

        Raises `OutOfTime` at `deadline`, on the monotonic clock, and `WorkerFailed`.
        """
        began = time.monotonic()
        for worker in self._workers:
            _tell(worker, "go")
        outcomes, last = [], began
        for line, heard_at in self._lines(deadline, self._tasks):
            outcomes.append(Outcome(**json.loads(line)))
            last = heard_at
            heard()
        return last - began, outcomes

    def _end(self) -> None:
        for worker in self._workers:
            worker.kill()
        for worker in self._workers:
            processes.kill(worker)

    def _lines(self, deadline: float, count: int) -> Iterator[tuple[str, float]]:
        """The next `count` lines, of whichever worker, and when each was heard."""
        with selectors.DefaultSelector() as selector:
            for worker in self._workers:
                assert worker.stdout is not None
                selector.register(worker.stdout, selectors.EVENT_READ, worker)
            while count > 0:
                ready = selector.select(max(0.0, deadline - time.monotonic()))
                if not ready:
                    raise OutOfTime
                now = time.monotonic()
                for key, _ in ready:
                    received = os.read(key.fd, 1 << 16)
                    *lines, self._begun[key.fd] = (self._begun.get(key.fd, b"") + received).split(b"\n")
                    for line in lines:
                        count -= 1
                        yield line.decode(), now
                    if not received:
                        raise WorkerFailed(f"a worker ended with {key.data.wait()}: {self._said()}")

    def _said(self) -> str:
        return processes.last_words(self._log) or "it said nothing"


def _tell(worker: subprocess.Popen[str], line: str) -> None:
    """A worker that has ended already is noticed where it is listened to."""
    assert worker.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        worker.stdin.write(line + "\n")
        worker.stdin.flush()
