"""A small PID 1: keeps the descriptors that a daemon hands to it, and gives them to the next one in no stable order."""

from __future__ import annotations

import contextlib
import os
import random
import select
import socket
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from gpulockd.server.roll import Line, Roll, Stage

from . import processes
from .daemon import Daemon
from .waiting import wait_until

_LAUNCHER = """
import fcntl, os, sys

count = int(sys.argv[1])
passed = [fcntl.fcntl(int(number), fcntl.F_DUPFD, 3 + count) for number in sys.argv[2:2 + count]]
for place, number in enumerate(passed):
    os.dup2(number, 3 + place)
    os.close(number)
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.executable, [sys.executable, *sys.argv[2 + count:]])
"""


class PidOne:
    """What systemd does for a service with `FileDescriptorStoreMax=limit`, as far as descriptors go."""

    def __init__(self, directory: Path, limit: int = 64, seed: int = 0) -> None:
        self.address = str(directory / "notify")
        self.limit = limit
        self.messages: list[dict[str, str]] = []
        self.offers = True
        """Whether daemons that start now are told of the store."""
        self._store: list[tuple[str, int]] = []
        self._random = random.Random(seed)
        self._mutex = threading.Lock()
        self._reads = threading.Event()
        self._reads.set()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.address)
        self._socket.setblocking(False)
        self._ended, self._end = os.pipe()
        self._thread = threading.Thread(target=self._receive)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reads.set()
        os.close(self._end)
        self._thread.join()
        os.close(self._ended)
        self._socket.close()
        self.forget()

    @property
    def names(self) -> list[str]:
        with self._mutex:
            return sorted(name for name, _ in self._store)

    def clients(self) -> int:
        return sum(name.startswith("client-") for name in self.names)

    def marked(self) -> int:
        """How many of them a daemon that is killed now leaves in the midst of something."""
        return sum(line.marked for line in self.lines() if line.stage is not Stage.ENDED)

    def lines(self) -> list[Line]:
        """What the roll says."""
        with self._mutex:
            for name, descriptor in self._store:
                if name == "roll":
                    roll = Roll(os.dup(descriptor), 0)
                    lines = [roll.read(number) for number in roll.used()]
                    roll.close()
                    return lines
        return []

    def forget(self) -> None:
        """As after `systemctl stop`."""
        with self._mutex:
            for _, descriptor in self._store:
                os.close(descriptor)
            self._store.clear()

    def lose(self, name: str) -> None:
        with self._mutex:
            self._lose(name)

    def _lose(self, name: str) -> None:
        for each in [each for each in self._store if each[0] == name]:
            self._store.remove(each)
            os.close(each[1])

    def stall(self) -> None:
        """Reads nothing until `go_on`."""
        self._reads.clear()

    def go_on(self) -> None:
        self._reads.set()

    def _receive(self) -> None:
        while True:
            ready, _, _ = select.select([self._socket.fileno(), self._ended], [], [])
            if self._ended in ready:
                return
            self._reads.wait()
            with self._mutex:
                self._read()

    def _read(self) -> None:
        """Takes in whatever was said by now."""
        with contextlib.suppress(BlockingIOError):
            while True:
                message, descriptors, _, _ = socket.recv_fds(self._socket, 4096, 8)
                self._take(message.decode(), descriptors)

    def _take(self, message: str, descriptors: list[int]) -> None:
        said = dict(line.split("=", 1) for line in message.splitlines())
        self.messages.append(said)
        name = said.get("FDNAME", "stored")
        if "FDSTOREREMOVE" in said:
            self._lose(name)
        if "FDSTORE" in said:
            while descriptors and len(self._store) < self.limit:
                self._store.append((name, descriptors.pop()))
        for descriptor in descriptors:  # of a barrier, or above the limit
            os.close(descriptor)

    def passed(self) -> list[tuple[str, int]]:
        """What the next daemon is given, in an order that nobody should rely on.

        As PID 1 does, it first hears the last words of the daemon that has ended: none of them is to close what the
        next one is being given.
        """
        with self._mutex:
            if self._reads.is_set():
                self._read()
            self._random.shuffle(self._store)
            return list(self._store)


class ManagedDaemon(Daemon):
    """A daemon that `manager` starts; `door` is the socket that its socket unit listens at, if it has one."""

    def __init__(self, directory: Path, manager: PidOne, *, door: bool = True, **options: object) -> None:
        super().__init__(directory, **options)  # type: ignore[arg-type]  # they are those of `Daemon`
        self.manager = manager
        self.door: socket.socket | None = None
        if door:
            self.door = socket.socket(socket.AF_UNIX)
            self.door.bind(self.socket)
            self.door.listen(128)

    def launch(self) -> None:
        assert self.process is None or self.process.poll() is not None, "the daemon runs already"
        self.state.mkdir(parents=True, exist_ok=True)
        passed = self.manager.passed()
        if self.door is not None:
            passed.insert(len(passed) // 2, ("gpulockd.socket", self.door.fileno()))
        numbers = [str(number) for _, number in passed]
        variables = {
            **self.environment,
            **({"NOTIFY_SOCKET": self.manager.address} if self.manager.offers else {}),
            "FDSTORE": str(self.manager.limit),
            "LISTEN_FDS": str(len(passed)),
            "LISTEN_FDNAMES": ":".join(name for name, _ in passed),
        }
        with self.log.open("a") as log:
            self.process = processes.start(
                [sys.executable, "-c", _LAUNCHER, str(len(passed)), *numbers, "-m", "gpulockd", *self.arguments],
                environment=variables,
                stdout=log,
                stderr=log,
                pass_fds=[number for _, number in passed],
            )

    def kept(self, clients: int, *, busy: int = 0) -> None:
        """Waits until so many connections are in the store, all but `busy` of them with nothing before the daemon."""
        wait_until(
            lambda: (self.manager.clients(), self.manager.marked()) == (clients, busy),
            lambda: f"{clients} connections are kept, {busy} busy, not {self.manager.names}, {self.manager.marked()}",
        )

    def end(self) -> None:
        super().end()
        if self.door is not None:
            self.door.close()
            self.door = None
