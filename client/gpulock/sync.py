"""The blocking client: `acquire`, the `Lock` that it returns, and `Client` for questions."""

from __future__ import annotations

import sys
import warnings
import weakref

from . import environment, forks, idle, nesting, watcher, wish
from .clock import now
from .connection import Connection, complain, new
from .durations import parse_duration
from .errors import DaemonUnavailable, GpulockError, NotHeld, ProtocolError
from .link import Silence
from .lock import HeldLock, check_soft_timeout
from .notices import Happened, Loss, ReleaseFailed, Warned
from .patience import ANSWER_TIMEOUT, UNAVAILABLE_TIMEOUT
from .wire import socket_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import TracebackType
    from typing import Any, Literal, Self

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
    soft_timeout: Literal["raise"] | None = None,
    nested: bool = True,
    set_env: bool = False,
    socket: str | None = None,
    unavailable_timeout: float | str = UNAVAILABLE_TIMEOUT,
) -> Lock:
    """Waits for a lock and returns it: a context manager whose end is the release.

    `gpus` is how many, or which: indices, UUIDs or beginnings of one. Durations are seconds, or `30s`, `5m`,
    `2h`. `wait_timeout` 0 does not wait; None leaves it to the daemon, as with `max_hold`, after which the daemon
    takes the lock back. A higher `priority` (-10 to 10) goes first.

    `on_queued` is called from this thread whenever the place in the queue changes; `on_lost`, once for a lock, and
    `on_warning` from the one thread that watches all locks of this process: keep them short.

    With `soft_timeout="raise"`, the first `Lock.check` or `Lock.beat` after the daemon has asked the task to finish
    raises `SoftTimeout`.

    Inside a lock of the same thread or task (or under `gpulock -- CMD`) the same lock is returned, `nested`; with
    `nested=False` the request is queued as anybody's, and may wait for its own caller.

    `set_env` puts `Lock.env` into `os.environ` until the release: for processes that do one thing at a time.

    An exception that a signal handler raises ends the wait and leaves no request behind.

    Raises `Busy`, `LockTimeout`, `UnknownGpu`, `Unsatisfiable`, `NestedRequest`, `InvalidRequest`,
    `LimitExceeded`, `NotPermitted`; `DaemonUnavailable` where no daemon answers for `unavailable_timeout`
    seconds. A daemon that goes away during the wait is waited for until `wait_timeout` is over.
    """
    check_soft_timeout(soft_timeout, "raise")
    wanted = wish.make(gpus, wait_timeout, max_hold, priority, task, profile, labels, nested, on_queued is not None)
    connection = idle.take(socket or socket_path())
    try:
        grant = connection.obtain(wanted, parse_duration(unavailable_timeout), on_queued)
    except BaseException:
        if connection.session.phase == "idle":  # the daemon refused
            with connection.mutex:
                idle.keep(watcher.Watch(connection))
        elif connection.withdraw():
            watcher.see_off(connection)
        raise
    return Lock(connection, grant, task, on_lost, on_warning, soft_timeout, set_env)


class Lock(HeldLock):
    """A lock that this process holds until `release`, or until the process ends.

    Leaving the block of a lock that was lost raises `LockLost`, unless another exception is on its way already:
    that one goes on, with a note. Methods may be called from any thread. After a fork the child's copy is void:
    releasing it there does nothing.
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
        self._watch = watcher.Watch(connection, _hearing(weakref.ref(self), self._tenure, on_lost, on_warning))
        self._saved = environment.put(grant.env) if set_env else {}
        self._released = False
        if not grant.nested:
            nesting.enter(self._tenure)
        with connection.mutex:
            (idle.keep if grant.nested else watcher.watch)(self._watch)

    def release(self) -> None:
        """Gives the GPUs back. A second call does nothing, nor does one on a nested lock.

        No answer of the daemon is waited for. An error in one becomes a `RuntimeWarning`, at the latest when the next
        `acquire` uses the connection. A daemon that is away is told when it is back, and the next one, where this one
        ends before it may have read it.
        """
        if self._released:
            return
        self._released = True
        if self._generation != forks.generation():
            return
        environment.restore(self._saved)
        if self.nested:
            return
        nesting.leave(self._tenure)
        connection = self._connection
        with connection.mutex:
            try:
                # It stays under watch until its next use: the daemon may end without having taken this in.
                if connection.release(answered=idle.full(connection.path)):
                    idle.keep(self._watch)
            except BaseException:
                watcher.forget(self._watch)
                connection.close()  # which is a release, too
                raise

    def extend(self, max_hold: float | str) -> float:
        """Moves the end of the longest hold to `max_hold` seconds from now; returns what was allowed.

        Raises `LockLost` where it is being taken back already, `NotHeld`, `DaemonUnavailable`.
        """
        answer = self._call("extend", {"max_hold": parse_duration(max_hold)})
        return float(answer["max_hold"])

    def beat(self, progress: float | None = None, note: str = "") -> None:
        """Tells the daemon that the task goes on: `progress` from 0 to 1, and a `note` for people.

        With `soft_timeout="raise"`, raises `SoftTimeout` after that, as `check` does.
        """
        self._call("beat", {"progress": progress, "note": note})
        self._heed()

    def _call(self, method: str, params: dict[str, object]) -> Any:
        holder = self._holder()
        connection = holder._connection
        with connection.mutex:
            self._holder()  # another thread may have released it while this one waited
            watcher.forget(holder._watch)  # until this thread has read the answer itself
            try:
                return connection.call(method, {**params, "lock": self.id}, ANSWER_TIMEOUT)
            finally:
                holder._tenure.loss = connection.session.loss
                watcher.watch(holder._watch)

    def _holder(self) -> Lock:
        """The lock whose connection holds it: this one, or the one that it is nested in."""
        holder = self._tenure.owner() if self._tenure.owner is not None else None
        if not isinstance(holder, Lock) or self._released or holder._released:
            raise NotHeld(f"{self.id} was released already, or is held elsewhere", data={"lock": self.id})
        if holder._generation != forks.generation():
            raise NotHeld(f"{self.id} belongs to the process that acquired it", hint="a forked child has no lock")
        return holder

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
        self._conclude(error)

    def __del__(self) -> None:
        if not self._released and not self.nested and not sys.is_finalizing():
            warnings.warn(f"{self!r} was never released", ResourceWarning, stacklevel=2, source=self)
            self.release()


def _hearing(
    lock: weakref.ref[Lock],
    tenure: nesting.Tenure,
    on_lost: Callable[[Lock], object] | None,
    on_warning: Callable[[Lock, Warned], object] | None,
) -> Callable[[Notice], None]:
    """What to do with what the watcher hears. It must not keep the lock alive."""

    def tell(notice: Notice) -> None:
        held = lock()
        if isinstance(notice, Loss):
            tenure.loss = notice
            if on_lost is not None and held is not None:
                on_lost(held)
        elif isinstance(notice, Warned):
            if notice.level == "soft":
                tenure.ask_to_finish(notice)
            if on_warning is not None and held is not None:
                on_warning(held, notice)
        elif isinstance(notice, ReleaseFailed):
            complain(notice)

    return tell


class Client:
    """Asks the daemon questions, and gives it orders. Threads may share one; each has its turn.

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
        self._connection = new(self._path)
        self._generation = forks.generation()

    def call(self, method: str, **params: Any) -> Any:
        """The answer to any method of the protocol; raises the error that the daemon answers.

        Raises `DaemonUnavailable` where no daemon is there, or it does not answer in time.
        """
        connection = self._own()
        with connection.mutex:
            try:
                connection.connect(self._unavailable_timeout)
                return connection.call(method, params, self._timeout)
            except BaseException as error:
                if not isinstance(error, GpulockError) or isinstance(error, (DaemonUnavailable, ProtocolError)):
                    connection.close()
                raise

    def status(self, *, fleet: bool = False) -> StatusDocument:
        """The whole host at a glance; with `fleet`, every host that shares its Redis too."""
        answer: StatusDocument = self.call("status", fleet=fleet)
        return answer

    def queue(self) -> QueueDocument:
        """Who waits, in order."""
        answer: QueueDocument = self.call("queue")
        return answer

    def watch(self, every: float | None = None) -> Iterator[EventView | None]:
        """What happens, as it happens, on a connection of its own; closing the iterator ends it.

        With `every`, None comes whenever nothing has happened for that many seconds. Raises `DaemonUnavailable`
        when the daemon goes away.
        """
        connection = new(self._path)
        try:
            connection.connect(self._unavailable_timeout)
            connection.call("watch", {}, self._timeout)
            while True:
                for notice in connection.take_notices():
                    if isinstance(notice, Happened):
                        yield notice.event
                try:
                    connection.read(None if every is None else now() + every)
                except Silence:
                    yield None
        finally:
            connection.close()

    def close(self) -> None:
        """Ends the connection. Using the client again makes a new one."""
        self._connection.close()

    def _own(self) -> Connection:
        if self._generation != forks.generation():
            self._connection, self._generation = new(self._path), forks.generation()
        return self._connection

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
