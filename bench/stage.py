"""What one work needs around it: a directory, and the servers, started when they are first asked for."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from bench.servers import Daemon, Etcd, Floor, Redis, Server

Kind = TypeVar("Kind", bound=Server)


class Stage:
    """Its servers end with it."""

    def __init__(self, gpus: int = 1) -> None:
        """`gpus`: how many the daemon simulates."""
        self.gpus = gpus
        self.directory = Path(tempfile.mkdtemp(prefix="bench-"))
        self._servers: dict[str, Server] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in reversed(self._servers.values()):
            server.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    @property
    def daemon(self) -> Daemon:
        if "daemon" not in self._servers:
            leases = Redis(self.directory, "leases")
            self._servers["leases"] = leases
            self._servers["daemon"] = Daemon(self.directory, leases, gpus=self.gpus)
        return self._one("daemon", Daemon)

    @property
    def floor(self) -> Floor:
        if "floor" not in self._servers:
            self._servers["floor"] = Floor(self.directory)
        return self._one("floor", Floor)

    @property
    def echo(self) -> Floor:
        if "echo" not in self._servers:
            self._servers["echo"] = Floor(self.directory, echo=True)
        return self._one("echo", Floor)

    @property
    def redis(self) -> Redis:
        """The one that the peers lock in; the daemon's leases are in another."""
        if "redis" not in self._servers:
            self._servers["redis"] = Redis(self.directory)
        return self._one("redis", Redis)

    @property
    def etcd(self) -> Etcd:
        if "etcd" not in self._servers:
            self._servers["etcd"] = Etcd(self.directory)
        return self._one("etcd", Etcd)

    def clear(self) -> None:
        """Forgets the locks that a peer's measurement left behind in Redis; nobody may be at work."""
        if "redis" in self._servers:
            self.redis.client.flushall()

    @property
    def pids(self) -> list[int]:
        return [server.pid for server in self._servers.values()]

    def _one(self, name: str, kind: type[Kind]) -> Kind:
        server = self._servers[name]
        assert isinstance(server, kind)
        return server
