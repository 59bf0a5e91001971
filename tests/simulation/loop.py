"""The event loop of one simulated process: asyncio as its tasks know it, without a selector, a clock or a thread.

Within a process the order is the one that asyncio promises: callbacks run in the order in which they were registered.
Between processes, and between a process and what comes from outside, the schedule of the world decides anew before
every single callback, so a process can be stopped, killed or overtaken at each of its awaits.
"""

from __future__ import annotations

import asyncio
import contextvars
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple, Unpack, cast

from .schedule import Schedule

if TYPE_CHECKING:
    import socket

    from .wire import Wire

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class SimulatedLoop(asyncio.AbstractEventLoop):
    """What a daemon's coroutines run on. Whatever goes wrong in a callback is handed to `failed`; `struck` is asked
    before each whether the process gets to it."""

    def __init__(self, schedule: Schedule, failed: Callable[[BaseException], None], struck: Callable[[], bool]) -> None:
        self._schedule = schedule
        self._failed = failed
        self._struck = struck
        self._ready: deque[asyncio.Handle] = deque()
        self._scheduled = False
        self._closed = False
        self._tasks: list[asyncio.Task[Any]] = []
        self.held_until = 0.0
        """Until when the process waits for its disk: what it does after that in the same callback, it does then."""
        self.paused_until = 0.0
        """Until when it is stopped (SIGSTOP). Should it be killed meanwhile, it dies at once."""

    # What tasks, futures and anyio call.

    def time(self) -> float:
        return max(self._schedule.now, self.held_until)

    def call_soon(
        self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._put(handle)
        return handle

    def call_later(
        self,
        delay: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        self._schedule.at(when, self._due, handle)
        return handle

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, **options: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self, **options)
        self._tasks = [other for other in self._tasks if not other.done()] if len(self._tasks) > 16 else self._tasks
        self._tasks.append(task)
        return task

    async def connect_accepted_socket(  # type: ignore[override]  # of what there is here
        self, protocol_factory: Callable[[], asyncio.Protocol], sock: socket.socket, **_: Any
    ) -> tuple[asyncio.Transport, asyncio.Protocol]:
        wire = cast("Wire", sock)
        protocol = protocol_factory()
        wire.adopt(self, protocol)
        return cast(asyncio.Transport, wire), protocol

    def get_task_factory(self) -> None:
        """Tasks are plain ones."""

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return not self._closed

    def is_closed(self) -> bool:
        return self._closed

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if not self._closed:
            self._failed(context.get("exception") or RuntimeError(context["message"]))

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """asyncio counts them; the schedule lets them pass."""

    # What the world calls.

    def start(self, coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        return self.create_task(coroutine)

    def hold(self, seconds: float) -> None:
        """The disk lets the process wait for so long."""
        self.held_until = max(self.held_until, self._schedule.now + seconds)

    def pause(self, seconds: float) -> None:
        """The process is stopped for so long. One that is stopped already goes on when it was to: pauses that follow
        each other without end would be a daemon that never runs."""
        if self.paused_until <= self._schedule.now:
            self.paused_until = self._schedule.now + seconds

    def end(self) -> None:
        """The process is gone. Its coroutines are unwound, and reach nobody any more: their ports are dead."""
        self._closed = True
        for _ in range(1000):
            while self._ready:  # what has not begun yet begins, so that it can be ended
                self._run(self._ready.popleft())
            pending = [task for task in self._tasks if not task.done()]
            if not pending:
                break
            for task in pending:
                task.cancel()
        else:
            raise RuntimeError("a daemon that was killed does not end")
        for task in self._tasks:
            if not task.cancelled():
                task.exception()  # it has been looked at
        self._tasks.clear()

    def _put(self, handle: asyncio.Handle) -> None:
        self._ready.append(handle)
        if not self._scheduled and not self._closed:
            self._scheduled = True
            self._schedule.soon(self._turn)

    def _due(self, handle: asyncio.TimerHandle) -> None:
        if not self._closed and not handle.cancelled():
            self._put(handle)

    def _turn(self) -> None:
        """Runs one callback."""
        self._scheduled = False
        if self._closed:
            return
        goes_on_at = max(self.held_until, self.paused_until)
        if goes_on_at > self._schedule.now:
            self._scheduled = True
            self._schedule.at(goes_on_at, self._turn)
            return
        if self._ready and not self._struck():
            self._run(self._ready.popleft())
        if self._ready and not self._scheduled and not self._closed:
            self._scheduled = True
            self._schedule.soon(self._turn)

    def _run(self, handle: asyncio.Handle) -> None:
        if handle.cancelled():
            return
        events._set_running_loop(self)
        try:
            handle._run()
        finally:
            events._set_running_loop(None)
