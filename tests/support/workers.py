"""One worker, three ways to talk to the daemon: the blocking client, the asyncio client, and bare frames.

The same tests drive all three. A worker stands for a process of its own: what it holds is nobody else's.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Protocol

import pytest

import gpulock
from gpulock.errors import CODES, LockLost

from .frames import Frames, WireError
from .waiting import PATIENCE, wait_until


@dataclass
class Held:
    """A lock that a worker holds."""

    id: str
    token: int
    gpus: tuple[int, ...]
    """Indices."""
    env: dict[str, str]
    nested: bool
    handle: Any = field(repr=False)


class GaveUp(Exception):
    """What a signal handler raises in a worker that stops waiting."""


class Worker(Protocol):
    """Errors are the classes of `gpulock`, whatever the way."""

    def acquire(self, **wish: Any) -> Held: ...

    def begin(self, **wish: Any) -> Future[Held]:
        """Acquires in the background."""
        ...

    def acquire_twice(self, inner: dict[str, Any], **outer: Any) -> tuple[Held, Held]:
        """Acquires, and acquires again from inside that lock."""
        ...

    def release(self, held: Held) -> None: ...

    def extend(self, held: Held, max_hold: float) -> float: ...

    def beat(self, held: Held, progress: float, note: str) -> None: ...

    def lost(self, held: Held) -> str | None:
        """The reason for which the lock is lost; None while it is not."""
        ...

    def leave_block(self, held: Held) -> None:
        """Releases it as the end of a `with` block does: raises `LockLost` if it was lost."""
        ...

    def give_up_waiting(self, is_waiting: Callable[[], bool], **wish: Any) -> None:
        """Waits for a lock, and stops once `is_waiting`."""
        ...

    def disconnect(self, held: Held) -> None:
        """Ends the connection that holds the lock, without a word."""
        ...

    def close(self) -> None: ...


class BlockingWorker:
    """Everything happens on one thread of its own."""

    def __init__(self, socket: str) -> None:
        self._socket = socket
        self._thread = ThreadPoolExecutor(1, "blocking-worker")
        self._held: list[Held] = []

    def begin(self, **wish: Any) -> Future[Held]:
        return self._thread.submit(self._acquire, wish)

    def acquire(self, **wish: Any) -> Held:
        return self.begin(**wish).result(PATIENCE)

    def acquire_twice(self, inner: dict[str, Any], **outer: Any) -> tuple[Held, Held]:
        return self._thread.submit(lambda: (self._acquire(outer), self._acquire(inner))).result(PATIENCE)

    def _acquire(self, wish: dict[str, Any]) -> Held:
        lock = gpulock.acquire(socket=self._socket, **wish)
        held = _held(lock)
        self._held.append(held)
        return held

    def release(self, held: Held) -> None:
        self._thread.submit(held.handle.release).result(PATIENCE)

    def extend(self, held: Held, max_hold: float) -> float:
        return float(self._thread.submit(held.handle.extend, max_hold).result(PATIENCE))

    def beat(self, held: Held, progress: float, note: str) -> None:
        self._thread.submit(held.handle.beat, progress, note).result(PATIENCE)

    def lost(self, held: Held) -> str | None:
        reason: str | None = held.handle.lost_reason
        return reason

    def leave_block(self, held: Held) -> None:
        self._thread.submit(held.handle.__exit__, None, None, None).result(PATIENCE)

    def give_up_waiting(self, is_waiting: Callable[[], bool], **wish: Any) -> None:
        """On the main thread: that is where signal handlers run."""
        main = threading.get_ident()
        assert threading.current_thread() is threading.main_thread()

        def interrupt(_number: int, _frame: FrameType | None) -> None:
            raise GaveUp

        def watch() -> None:
            wait_until(is_waiting, "the request waits")
            signal.pthread_kill(main, signal.SIGUSR1)

        before = signal.signal(signal.SIGUSR1, interrupt)
        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            gpulock.acquire(socket=self._socket, **wish)
        except GaveUp:
            return
        finally:
            watcher.join()
            signal.signal(signal.SIGUSR1, before)
        raise AssertionError("the wait was not interrupted")

    def disconnect(self, held: Held) -> None:
        connection = held.handle._connection

        def forget_it() -> None:
            from gpulock import watcher

            with connection.mutex:
                watcher.forget(held.handle._watch)
                held.handle._released = True
                connection.close()

        self._thread.submit(forget_it).result(PATIENCE)

    def close(self) -> None:
        for held in self._held:
            self._thread.submit(held.handle.release)
        self._thread.shutdown()


class AsyncioWorker:
    """A loop on a thread of its own; each call is a task."""

    def __init__(self, socket: str, new_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop) -> None:
        self._socket = socket
        self._loop = new_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._held: list[Held] = []

    def begin(self, **wish: Any) -> Future[Held]:
        return asyncio.run_coroutine_threadsafe(self._acquire(wish), self._loop)

    def acquire(self, **wish: Any) -> Held:
        return self.begin(**wish).result(PATIENCE)

    def acquire_twice(self, inner: dict[str, Any], **outer: Any) -> tuple[Held, Held]:
        async def both() -> tuple[Held, Held]:
            return await self._acquire(outer), await self._acquire(inner)

        return asyncio.run_coroutine_threadsafe(both(), self._loop).result(PATIENCE)

    async def _acquire(self, wish: dict[str, Any]) -> Held:
        held = _held(await gpulock.aio.acquire(socket=self._socket, **wish))
        self._held.append(held)
        return held

    def release(self, held: Held) -> None:
        asyncio.run_coroutine_threadsafe(held.handle.release(), self._loop).result(PATIENCE)

    def extend(self, held: Held, max_hold: float) -> float:
        return float(asyncio.run_coroutine_threadsafe(held.handle.extend(max_hold), self._loop).result(PATIENCE))

    def beat(self, held: Held, progress: float, note: str) -> None:
        asyncio.run_coroutine_threadsafe(held.handle.beat(progress, note), self._loop).result(PATIENCE)

    def lost(self, held: Held) -> str | None:
        reason: str | None = held.handle.lost_reason
        return reason

    def leave_block(self, held: Held) -> None:
        asyncio.run_coroutine_threadsafe(held.handle.__aexit__(None, None, None), self._loop).result(PATIENCE)

    def give_up_waiting(self, is_waiting: Callable[[], bool], **wish: Any) -> None:
        waiting = self.begin(**wish)
        wait_until(is_waiting, "the request waits")
        assert waiting.cancel()

    def disconnect(self, held: Held) -> None:
        async def cut() -> None:
            held.handle._released = True
            held.handle._connection._tell = None
            held.handle._connection.close()

        asyncio.run_coroutine_threadsafe(cut(), self._loop).result(PATIENCE)

    def close(self) -> None:
        async def let_go() -> None:
            for held in self._held:
                await held.handle.release()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            await self._loop.shutdown_asyncgens()
            await asyncio.sleep(0)

        asyncio.run_coroutine_threadsafe(let_go(), self._loop).result(PATIENCE)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class FramesWorker:
    """Bare MessagePack-RPC: a connection for each lock, as the clients do it."""

    def __init__(self, socket: str) -> None:
        self._socket = socket
        self._threads = ThreadPoolExecutor(8, "frames-worker")
        self._connections: list[Frames] = []

    def _connect(self) -> Frames:
        frames = Frames(self._socket)
        self._connections.append(frames)
        return frames

    def begin(self, **wish: Any) -> Future[Held]:
        return self._threads.submit(self._acquire, self._connect(), wish)

    def acquire(self, **wish: Any) -> Held:
        return self._acquire(self._connect(), wish)

    def acquire_twice(self, inner: dict[str, Any], **outer: Any) -> tuple[Held, Held]:
        frames = self._connect()
        return self._acquire(frames, outer), self._acquire(frames, inner)

    def _acquire(self, frames: Frames, wish: dict[str, Any]) -> Held:
        granted = _call(frames, "acquire", notify=["lost"], **wish)
        return Held(
            granted["lock"],
            granted["token"],
            tuple(gpu["index"] for gpu in granted["gpus"]),
            granted["env"],
            granted["nested"],
            frames,
        )

    def release(self, held: Held) -> None:
        _call(held.handle, "release", lock=held.id)

    def extend(self, held: Held, max_hold: float) -> float:
        return float(_call(held.handle, "extend", lock=held.id, max_hold=max_hold)["max_hold"])

    def beat(self, held: Held, progress: float, note: str) -> None:
        _call(held.handle, "beat", lock=held.id, progress=progress, note=note)

    def lost(self, held: Held) -> str | None:
        _call(held.handle, "queue")  # whatever was sent before its answer has come with it
        reasons = [params["reason"] for method, params in held.handle.notifications if method == "lost"]
        return reasons[0] if reasons else None

    def leave_block(self, held: Held) -> None:
        reason = self.lost(held)
        self.release(held)
        if reason is not None:
            raise LockLost(reason)

    def give_up_waiting(self, is_waiting: Callable[[], bool], **wish: Any) -> None:
        frames = self._connect()
        waiting = frames.send("acquire", **wish)
        wait_until(is_waiting, "the request waits")
        frames.call("cancel", msgid=waiting)
        with pytest.raises(WireError, match="cancelled"):
            frames.receive(waiting)

    def disconnect(self, held: Held) -> None:
        held.handle.close()

    def close(self) -> None:
        for connection in self._connections:
            connection.close()
        self._threads.shutdown()


def _call(frames: Frames, method: str, **params: Any) -> Any:
    try:
        return frames.call(method, **params)
    except WireError as error:
        raise CODES[str(error.code)](str(error), data=error.fault.get("data")) from error


def _held(lock: Any) -> Held:
    return Held(lock.id, lock.token, tuple(gpu.index for gpu in lock.gpus), dict(lock.env), lock.nested, lock)
