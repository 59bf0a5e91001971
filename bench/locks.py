"""One face for all that is compared."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from typing import Any

from bench.stage import Stage
from gpulockd.evidence.bench.programs import Missing


class Lock(ABC):
    """One client and its lock `name`; who has the same name competes.

    Made before the fork, with the servers running; opened and used in the process that locks.
    """

    needs: tuple[str, ...] = ()
    """The modules without which it cannot be compared."""

    def __init__(self, stage: Stage, name: str = "gpu-0") -> None:
        """Starts the server that it needs. Raises `Missing`."""
        for module in self.needs:
            _require(module)
        self.name = name
        self.address = self.prepare(stage)

    @abstractmethod
    def prepare(self, stage: Stage) -> str:
        """Where its server is."""

    def open(self) -> None:  # noqa: B027  # not everybody connects
        """Connects."""

    @abstractmethod
    def acquire(self) -> None: ...

    @abstractmethod
    def release(self) -> None: ...

    def keep(self) -> None:  # noqa: B027
        """Has to be called every few seconds by who holds a lock that expires."""

    def close(self) -> None:  # noqa: B027
        """Ends the connection."""


class AsyncLock(Lock):
    """One for coroutines, which the blocking face runs on a loop of its own, one step at a time."""

    def open(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.loop.run_until_complete(self.open_async())

    def acquire(self) -> None:
        self.loop.run_until_complete(self.acquire_async())

    def release(self) -> None:
        self.loop.run_until_complete(self.release_async())

    def close(self) -> None:
        self.loop.run_until_complete(self.close_async())

    async def open_async(self) -> None: ...

    @abstractmethod
    async def acquire_async(self) -> None: ...

    @abstractmethod
    async def release_async(self) -> None: ...

    async def close_async(self) -> None: ...

    def run(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """`work` on the loop that it was opened on."""
        return self.loop.run_until_complete(work())


def _require(module: str) -> None:
    """Imports it before the forks, so that not each of them has to. Raises `Missing`."""
    if importlib.util.find_spec(module) is None:
        raise Missing(f"{module} is not installed")
    if module not in _NOT_BEFORE_A_FORK:
        importlib.import_module(module)


_NOT_BEFORE_A_FORK = ("etcd3aio",)  # gRPC's threads
