"""A blocking connection to the daemon's socket: bytes out, bytes in, until a deadline."""

from __future__ import annotations

import errno
import os
import select

from . import forks
from .clock import now
from .errors import DaemonUnavailable, NotPermitted
from .lean import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

_READ = 64 * 1024
"""Bytes. From 128 KiB on, malloc would map and unmap the buffer of each read."""
# What connect() says while a daemon restarts: no socket yet, nobody listening, or its backlog is full.
_AWAY = (errno.ENOENT, errno.ECONNREFUSED, errno.EAGAIN, errno.ECONNRESET, errno.EPIPE, errno.EINTR)


class Away(Exception):
    """No daemon answers at the socket just now; another try may find one."""


class Silence(Exception):
    """Nothing came by the deadline. No `TimeoutError`: a signal handler may raise that one on its own account."""


class Link:
    """A connected Unix socket that blocks only where it is told to wait."""

    def __init__(self, path: str) -> None:
        """Raises `Away`, or what no further try can mend: `NotPermitted`, `DaemonUnavailable`."""
        try:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        except OSError as error:
            explain(error, path)
        forks.own(self)
        try:
            self._socket.setblocking(False)
            self._socket.connect(path)
            # From here on a wait without an end is one call, and any other is told not to wait, or polls first.
            self._socket.setblocking(True)
        except OSError as error:
            self._socket.close()
            explain(error, path)
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)

    def fileno(self) -> int:
        """-1 once it is closed."""
        return self._socket.fileno()

    def send(self, data: bytes) -> None:
        """Raises `Away` where the peer has gone. Waits for a peer that is slow to read."""
        while data:
            try:
                data = data[self._socket.send(data, socket.MSG_DONTWAIT) :]
            except BlockingIOError:
                waiting = select.poll()
                waiting.register(self._socket, select.POLLOUT)
                waiting.poll()
            except OSError as error:
                raise Away(str(error)) from error

    def read(self, until: float | None) -> bytes:
        """What comes next; raises `Away` at the end of the connection, `Silence` when `until` has come."""
        if until is None:
            try:
                return _heard(self._socket.recv(_READ))
            except ConnectionError as error:  # another one would be a signal handler's own
                raise Away(str(error)) from error
        if not self._poll.poll(max(0.0, until - now()) * 1000):
            raise Silence
        data = self.read_now()
        return self.read(until) if data is None else data

    def read_now(self) -> bytes | None:
        """What there is; None for nothing. Raises `Away` at the end of the connection."""
        try:
            return _heard(self._socket.recv(_READ, socket.MSG_DONTWAIT))
        except BlockingIOError:
            return None
        except OSError as error:
            raise Away(str(error)) from error

    def close(self) -> None:
        self._socket.close()

    disinherit = close


def _heard(data: bytes) -> bytes:
    if not data:
        raise Away("the daemon closed the connection")
    return data


def explain(error: OSError, path: str) -> NoReturn:
    """Raises what a failed connect() to `path` means to a caller."""
    if error.errno in _AWAY:
        raise Away(error.strerror) from error
    if error.errno in (errno.EACCES, errno.EPERM):
        raise NotPermitted(
            f"you may not use {path}",
            hint="join the group that owns the socket (usually `gpulock`), then log in again",
            data={"socket": path, "uid": os.geteuid()},
        ) from error
    raise DaemonUnavailable(
        f"{path} cannot be used: {error}", hint="set GPULOCK_SOCKET", data={"socket": path}
    ) from error


def unavailable(path: str, why: object, story: str = "no gpulockd answers") -> DaemonUnavailable:
    """The error for a daemon that stayed away."""
    return DaemonUnavailable(
        f"{story} at {path}: {why}",
        hint="is it running? systemctl status gpulockd; gpulockctl doctor",
        data={"socket": path},
    )
