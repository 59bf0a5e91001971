"""All that is compared: this project, the floor, and the peers."""

from __future__ import annotations

import gpulock
from bench import peers
from bench.floor import Client
from bench.locks import AsyncLock, Lock
from bench.stage import Stage
from gpulock import aio

GPULOCK, FLOOR = "gpulock", "floor"


class GpuLock(Lock):
    """The blocking client of this project. Whatever the name: its daemon has one GPU."""

    def prepare(self, stage: Stage) -> str:
        return stage.daemon.socket

    def open(self) -> None:
        self._acquire = gpulock.acquire

    def acquire(self) -> None:
        self._lock = self._acquire(socket=self.address)

    def release(self) -> None:
        self._lock.release()


class GpuLockAsync(AsyncLock):
    """The asyncio client of this project."""

    def prepare(self, stage: Stage) -> str:
        return stage.daemon.socket

    async def open_async(self) -> None:
        self._acquire = aio.acquire

    async def acquire_async(self) -> None:
        self._lock = await self._acquire(socket=self.address)

    async def release_async(self) -> None:
        await self._lock.release()


class FloorLock(Lock):
    def prepare(self, stage: Stage) -> str:
        return stage.floor.socket

    def open(self) -> None:
        self._client = Client(self.address)

    def acquire(self) -> None:
        self._client.call("acquire", self.name)

    def release(self) -> None:
        self._client.call("release", self.name)

    def close(self) -> None:
        self._client.close()


CONTENDERS: dict[str, type[Lock]] = {
    GPULOCK: GpuLock,
    "gpulock asyncio": GpuLockAsync,
    FLOOR: FloorLock,
    "flock": peers.Flock,
    "filelock": peers.FileLock,
    "redis-py": peers.RedisPy,
    "redis-py without hiredis": peers.RedisPyPlain,
    "redis-py asyncio": peers.RedisPyAsync,
    "python-redis-lock": peers.PythonRedisLock,
    "pottery": peers.Pottery,
    "polling 2 s to 10 s": peers.Polling,
    "etcd": peers.EtcdLock,
}
"""In the order in which they are shown."""
