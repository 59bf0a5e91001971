"""A canary under load: workers who come anew all the time, and what one asks a daemon about its canary."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Self

from tests.support.daemon import Daemon
from tests.support.frames import Frames, WireError

BASE = "# base\ngpu_lock: {max_wait_time: 20m}\n"
HARMLESS = "# a little shorter\ngpu_lock: {max_wait_time: 19m}\n"
HOLD = 0.01
WORKERS = 8
"""On one GPU: a turn comes round about every 80 ms."""


class Attempt(NamedTuple):
    began: float
    key: str
    waited: float | None
    """How long until it was given up; None: it was granted."""


class Crew:
    """Threads that are at work, by number, until the block is left."""

    def __init__(self, size: int) -> None:
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=(number,)) for number in range(size)]

    def _work(self, number: int) -> None:
        """Until `_over` is set."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive()


class Load(Crew):
    """Workers that each open a session, ask for the GPU, hold it for a moment, and begin anew with another session."""

    def __init__(self, *daemons: Daemon, workers: int = WORKERS, hold: float = HOLD) -> None:
        """`workers` of each daemon; each holds the GPU for `hold` seconds."""
        super().__init__(workers * len(daemons))
        self._hold = hold
        self._sockets = [daemon.socket for daemon in daemons]
        self.attempts: list[Attempt] = []

    def _work(self, number: int) -> None:
        path = self._sockets[number % len(self._sockets)]
        session = 0
        while not self._over.is_set():
            session += 1
            key = f"worker {number}, session {session}"
            try:
                with Frames(path) as client:
                    client.call("hello", reattach=key)
                    self._attempt(client, key)
            except (OSError, EOFError):
                time.sleep(0.01)  # the daemon is being killed

    def _attempt(self, client: Frames, key: str) -> None:
        began = time.monotonic()
        try:
            client.call("acquire")
        except WireError as error:
            if error.code != "wait-timeout":
                raise
            self.attempts.append(Attempt(began, key, error.fault["data"]["waited"]))
        else:
            self.attempts.append(Attempt(began, key, None))
            time.sleep(self._hold)
            client.call("release")

    def more(self, attempts: int) -> Callable[[], bool]:
        """Whether so many more have come to an end since now."""
        before = len(self.attempts)
        return lambda: len(self.attempts) >= before + attempts


def view(daemon: Daemon) -> Any:
    return daemon.call("canary")["canary"]


def ended(daemon: Daemon, outcome: str) -> Callable[[], bool]:
    return lambda: bool((seen := view(daemon)) and seen["course"] == outcome)


def start(daemon: Daemon, content: str, percent: float) -> Any:
    return daemon.call("canary_start", content=content, percent=percent, reason="a test")["canary"]


def daemon_of(directory: Path, file: Path, **settings: object) -> Daemon:
    """With one GPU, and soon sure of a canary."""
    directory.mkdir(exist_ok=True)
    settings = {"canary.min_requests": 40, "daemon.reattach_grace": 0.2, **settings}  # these workers never come back
    return Daemon(directory, simulate=1, arguments=("--config", str(file)), settings=settings)
