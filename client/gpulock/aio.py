"""The asyncio client: `acquire` to await or to enter, the `Lock` it gives, and `Client` for questions.

It runs on any loop (uvloop among them), and a lock belongs to the loop that acquired it. It needs no thread, but for
telling a daemon that comes back what was let go while it was away: the loop may have ended by then.
"""

from __future__ import annotations

import asyncio
import sys
import warnings
import weakref
from typing import TYPE_CHECKING, Any, Literal, Self

from . import aio_idle, environment, forks, nesting, wish
from .connection import complain
from .durations import parse_duration
from .errors import NotHeld
from .interruption import Interruption
from .lock import HeldLock, check_soft_timeout
from .notices import Happened, Loss, ReleaseFailed, Warned
from .patience import ANSWER_TIMEOUT, UNAVAILABLE_TIMEOUT
from .wire import socket_path

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Mapping, Sequence
    from types import TracebackType

    from .aio_connection import Connection
    from .documents import EventView, QueueDocument, StatusDocument
    from .notices import Grant, Notice, Queued


def acquire(
    gpus: int | str | Sequence[int | str] = 1,
    *,
    wait_timeout: float | str | None = None,
    max_hold: float | str | None = None,
    priority: int = 0,
    task: str = "",
    profile: str = "",
    labels: Mapping[str, str] | None = None,
    on_queued: Callable[[Queued], object] | None = None,
    on_lost: Callable[[Lock], object] | None = None,
    on_warning: Callable[[Lock, Warned], object] | None = None,
    soft_timeout: Literal["raise", "cancel"] | None = None,
    nested: bool = True,
    set_env: bool = False,
    socket: str | None = None,
    unavailable_timeout: float | str = UNAVAILABLE_TIMEOUT,
) -> Acquisition:
    """`gpulock.acquire` for coroutines: `async with acquire(...) as lock`, or `lock = await acquire(...)`.

    Parameters and errors are the same. Callbacks are called on the loop; one that is a coroutine function becomes
    a task. Cancelling the wait leaves no request behind.

    With `soft_timeout="cancel"`, the task that has entered the block is cancelled when the daemon asks it to finish,
    and leaving the block turns that cancellation into `SoftTimeout`.
    """
    check_soft_timeout(soft_timeout, "raise", "cancel")
    wanted = wish.make(gpus, wait_timeout, max_hold, priority, task, profile, labels, nested, on_queued is not None)
    patience = parse_duration(unavailable_timeout)

    async def obtain() -> Lock:
        connection = aio_idle.take(socket or socket_path())
        try:
            grant = await connection.obtain(wanted, patience, on_queued)
        except BaseException:
            if connection.at_rest:
                await aio_idle.keep(connection)  # the daemon refused
            else:
                connection.part()
            raise
        if grant.nested:
            await aio_idle.keep(connection)
        return Lock(connection, grant, task, on_lost, on_warning, soft_timeout, set_env)

    return Acquisition(obtain)


class Acquisition:
    """A lock that is about to be asked for: await it, or enter it."""

    def __init__(self, obtain: Callable[[], Coroutine[Any, Any, Lock]]) -> None:
        self._obtain = obtain
        self._lock: Lock | None = None

    def __await__(self) -> Generator[Any, None, Lock]:
        return self._obtain().__await__()

    async def __aenter__(self) -> Lock:
        self._lock = await self._obtain()
        return await self._lock.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._lock is not None
        await self._lock.__aexit__(kind, error, trace)


class Lock(HeldLock):
    """A lock that this process holds until `release`, or until the process ends.

    Leaving the block of a lock that was lost raises `LockLost`, unless another exception is on its way already:
    that one goes on, with a note. After a fork the child's copy is void.
    """

    _released = True

    def __init__(
        self,
        connection: Connection,
        grant: Grant,
        task: str,
        on_lost: Callable[[Lock], object] | None,
        on_warning: Callable[[Lock, Warned], object] | None,
        soft_timeout: str | None,
        set_env: bool,
    ) -> None:
        outer = nesting.find(grant.lock) if grant.nested else None
        tenure = outer or nesting.Tenure(grant.lock, None if grant.nested else weakref.ref(self))
        super().__init__(grant, task, tenure, soft_timeout)
        self._connection = connection
        self._generation = forks.generation()
        self._loop = asyncio.get_running_loop()
        self._interruption = Interruption(self._tenure) if soft_timeout == "cancel" else None
        self._saved = environment.put(grant.env) if set_env else {}
        self._released = False
        if not grant.nested:
            nesting.enter(self._tenure)
            connection.hold(_hearing(weakref.ref(self), self._tenure, on_lost, on_warning))

    async def release(self) -> None:
        """Gives the GPUs back, and waits for the daemon's answer. A second call does nothing, nor does one on a nested
        lock."""
        if self._released:
            return
        self._released = True
        if self._generation != forks.generation():
            return
        environment.restore(self._saved)
        if self.nested:
            return
        nesting.leave(self._tenure)
        await _let_go(self._connection)

    async def extend(self, max_hold: float | str) -> float:
        """Moves the end of the longest hold to `max_hold` seconds from now; returns what was allowed."""
        answer = await self._call("extend", {"max_hold": parse_duration(max_hold)})
        return float(answer["max_hold"])

    async def beat(self, progress: float | None = None, note: str = "") -> None:
        """Tells the daemon that the task goes on: `progress` from 0 to 1, and a `note` for people."""
        await self._call("beat", {"progress": progress, "note": note})
        self._heed()

    async def _call(self, method: str, params: dict[str, object]) -> Any:
        holder = self._tenure.owner() if self._tenure.owner is not None else None
        if not isinstance(holder, Lock) or self._released or holder._released:
            raise NotHeld(f"{self.id} was released already, or is held elsewhere", data={"lock": self.id})
        if holder._generation != forks.generation():
            raise NotHeld(f"{self.id} belongs to the process that acquired it", hint="a forked child has no lock")
        return await holder._connection.call(method, {**params, "lock": self.id}, ANSWER_TIMEOUT)

    async def __aenter__(self) -> Self:
        if self._interruption is not None:
            await self._interruption.begin()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The interruption ends first: the release is not to be cancelled by it.
        outcome = error if self._interruption is None else await self._interruption.end(error)
        await self.release()
        self._conclude(outcome)
        if outcome is not None and outcome is not error:
            raise outcome from error

    def __del__(self) -> None:
        if self._released or self.nested or sys.is_finalizing() or self._generation != forks.generation():
            return
        warnings.warn(f"{self!r} was never released", ResourceWarning, stacklevel=2, source=self)
        nesting.leave(self._tenure)
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(_start, _let_go(self._connection))


async def _let_go(connection: Connection) -> None:
    try:
        await connection.release()
    finally:
        await aio_idle.keep(connection)


def _hearing(
    lock: weakref.ref[Lock],
    tenure: nesting.Tenure,
    on_lost: Callable[[Lock], object] | None,
    on_warning: Callable[[Lock, Warned], object] | None,
) -> Callable[[Notice], None]:
    """What to do with what comes for the holder. It must not keep the lock alive."""

    def tell(notice: Notice) -> None:
        held = lock()
        if isinstance(notice, Loss):
            tenure.loss = notice
            if on_lost is not None and held is not None:
                _start(on_lost(held))
        elif isinstance(notice, Warned):
            if notice.level == "soft":
                tenure.ask_to_finish(notice)
            if on_warning is not None and held is not None:
                _start(on_warning(held, notice))
        elif isinstance(notice, ReleaseFailed):
            complain(notice)

    return tell


_callbacks: set[asyncio.Task[Any]] = set()


def _start(outcome: object) -> None:
    """Has a callback's coroutine run, if it made one."""
    if asyncio.iscoroutine(outcome):
        task = asyncio.get_running_loop().create_task(outcome)
        _callbacks.add(task)
        task.add_done_callback(_callbacks.discard)


class Client:
    """Asks the daemon questions, and gives it orders. Tasks of one loop may share one.

    It connects when it is first used, and again after a daemon that went away.
    """

    def __init__(
        self,
        socket: str | None = None,
        *,
        timeout: float = ANSWER_TIMEOUT,
        unavailable_timeout: float | str = 0,
    ) -> None:
        """`timeout`: seconds to wait for an answer; `unavailable_timeout`: for a daemon that is not there."""
        self._path = socket or socket_path()
        self._timeout = timeout
        self._unavailable_timeout = parse_duration(unavailable_timeout)
        self._connection: Connection | None = None

    async def call(self, method: str, **params: Any) -> Any:
        """The answer to any method of the protocol; raises the error that the daemon answers.

        Raises `DaemonUnavailable` where no daemon is there, or it does not answer in time.
        """
        if self._connection is None:
            self._connection = aio_idle.new(self._path)
        await self._connection.connect(self._unavailable_timeout)
        return await self._connection.call(method, params, self._timeout)

    async def status(self, *, fleet: bool = False) -> StatusDocument:
        """The whole host at a glance; with `fleet`, every host that shares its Redis too."""
        answer: StatusDocument = await self.call("status", fleet=fleet)
        return answer

    async def queue(self) -> QueueDocument:
        """Who waits, in order."""
        answer: QueueDocument = await self.call("queue")
        return answer

    async def watch(self) -> AsyncIterator[EventView]:
        """What happens, as it happens, on a connection of its own. Raises `DaemonUnavailable` at its end."""
        connection = aio_idle.new(self._path)
        try:
            await connection.connect(self._unavailable_timeout)
            await connection.call("watch", {}, self._timeout)
            while True:
                for notice in await connection.next_notices():
                    if isinstance(notice, Happened):
                        yield notice.event
        finally:
            connection.close()

    async def close(self) -> None:
        """Ends the connection. Using the client again makes a new one."""
        if self._connection is not None:
            self._connection.close()
            await asyncio.sleep(0)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
