"""What one work needs around it: a directory, and the servers, started when they are first asked for."""

from __future__ import annotations

import shutil
import tempfile
from functools import cached_property
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
        self._servers: list[Server] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in reversed(self._servers):
            server.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    @cached_property
    def daemon(self) -> Daemon:
        leases = self._started(Redis(self.directory, "leases"))
        return self._started(Daemon(self.directory, leases, gpus=self.gpus))

    @cached_property
    def floor(self) -> Floor:
        return self._started(Floor(self.directory))

    @cached_property
    def echo(self) -> Floor:
        return self._started(Floor(self.directory, echo=True))

    @cached_property
    def redis(self) -> Redis:
        """The one that the peers lock in; the daemon's leases are in another."""
        return self._started(Redis(self.directory))

    @cached_property
    def etcd(self) -> Etcd:
        return self._started(Etcd(self.directory))

    def clear(self) -> None:
        """Forgets the locks that a peer's measurement left behind in Redis; nobody may be at work."""
        if "redis" in vars(self):
            self.redis.client.flushall()

    @property
    def pids(self) -> list[int]:
        return [server.pid for server in self._servers]

    def _started(self, server: Kind) -> Kind:
        self._servers.append(server)
        return server
