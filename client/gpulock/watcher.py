"""The one thread that looks after the locks that this process holds, and those that it has let go of.

It notices what comes unasked: `lost`, warnings, the end of a connection; it reconnects, reattaches, says a release
again that a daemon may not have heard, and calls back. It starts with the first lock. Threads that acquire put their
connection into its epoll set themselves, and take it out before they use it for another lock, so that neither wakes it.
"""

from __future__ import annotations

import os
import select
import sys
import threading

from . import forks
from .clock import now

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .connection import Connection
    from .notices import Notice

_NONE = -1


def ignore(_notice: Notice) -> None:
    """It is nobody's lock any more."""


class Watch:
    """A connection under watch. `tell` is called on the watcher's thread with whatever its holder should hear."""

    def __init__(self, connection: Connection, tell: Callable[[Notice], object] = ignore) -> None:
        self.connection = connection
        self.tell = tell
        self.idle = False
        """Whether it lies ready for another use: it is not closed then, until it has lost its connection once."""
        self.registered = _NONE


class _Watcher:
    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._registered: dict[int, Watch] = {}
        self._due: set[Watch] = set()
        """Those that want attention at some time, whatever their socket says."""
        self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._epoll.register(self._bell, select.EPOLLIN)
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def add(self, watch: Watch) -> None:
        connection = watch.connection
        if watch.registered == _NONE and (fd := connection.fileno()) != _NONE:
            watch.registered = fd
            self._registered[fd] = watch
            self._epoll.register(fd, select.EPOLLIN)
        if connection.retry_at is not None or connection.has_notices:
            self._due.add(watch)
            os.eventfd_write(self._bell, 1)
        if self._thread is None:
            self._start()

    def remove(self, watch: Watch) -> bool:
        watched = watch.registered != _NONE or watch in self._due
        self._due.discard(watch)
        if watch.registered != _NONE:
            del self._registered[watch.registered]
            self._epoll.unregister(watch.registered)
            watch.registered = _NONE
        return watched

    def abandon(self) -> None:
        self._epoll.close()
        os.close(self._bell)

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="gpulock-watcher", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            pauses = [_pause(watch) for watch in self._due.copy()]
            for fd, _ in self._epoll.poll(min((pause for pause in pauses if pause is not None), default=None)):
                if (watch := self._registered.get(fd)) is not None:
                    self._attend(watch)
                elif fd == self._bell:
                    os.eventfd_read(self._bell)
            for watch in self._due.copy():
                if _pause(watch) == 0:
                    self._attend(watch)

    def _attend(self, watch: Watch) -> None:
        connection = watch.connection
        with connection.mutex:
            # Out of the epoll set before it may be closed: a forked child can keep a closed socket in it.
            if not self.remove(watch):
                return  # its holder let go of it meanwhile
            connection.attend()
            watch.idle = watch.idle and connection.link is not None
            notices = connection.take_notices()
            # A release that was sent may still be lost, with the daemon, until it is answered.
            session = connection.session
            if session.phase in ("held", "leaving") or session.releasing or session.unproven:
                self.add(watch)
            elif not watch.idle:
                connection.close()
        for notice in notices:
            _tell(watch, notice)


def _pause(watch: Watch) -> float | None:
    """Seconds until it wants attention; None: when its socket says so."""
    connection = watch.connection
    if connection.has_notices:
        return 0.0
    return None if connection.retry_at is None else max(0.0, connection.retry_at - now())


def _tell(watch: Watch, notice: Notice) -> None:
    try:
        watch.tell(notice)
    except BaseException:  # noqa: BLE001  # a caller's callback must not end the watch of the other locks
        threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), threading.current_thread())))


_watcher: _Watcher | None = None
_making = threading.Lock()
"""Several threads may take their first lock at once, and there is to be one watcher."""


def watch(watch: Watch) -> None:
    """Sees to it that a connection is looked after. Its mutex must be held, here and for `forget`."""
    (_watcher or _made()).add(watch)


def _made() -> _Watcher:
    global _watcher  # noqa: PLW0603  # one thread in a process
    with _making:
        if _watcher is None:
            _watcher = _Watcher()
        return _watcher


def forget(watch: Watch) -> None:
    """Stops to; nothing more is told of it, but for what is being told just now."""
    if _watcher is not None:
        _watcher.remove(watch)


def see_off(connection: Connection) -> None:
    """Has the next daemon told what was let go, or no longer wanted, when none was there."""
    with connection.mutex:
        watch(Watch(connection))


def _reset() -> None:
    global _watcher, _making  # noqa: PLW0603
    _making = threading.Lock()  # another thread may have held it when this process was forked
    if _watcher is not None:
        _watcher.abandon()
        _watcher = None


forks.in_child(_reset)
