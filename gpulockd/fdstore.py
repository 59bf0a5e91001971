"""The store of descriptors that systemd's PID 1 keeps for the daemon: what is in it outlives any daemon.

Each message is one datagram to `$NOTIFY_SOCKET`: `FDSTORE=1` with a descriptor and its name, `FDSTOREREMOVE=1` with a
name, `BARRIER=1` to hear that everything before it was read. There is no answer to the first two, and PID 1 drops
without a word what is above its limit, so whoever stores has to count.

PID 1 may be slow, and its queue is short. What it does not take at once waits here, in order, and the event loop goes
on. A connection that ends before its turn came, without a `hello`, is not worth PID 1's time: it is neither stored nor
removed.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import socket
from collections.abc import Callable, Mapping
from typing import NamedTuple, Self

PAUSE = 0.05
"""Seconds for which new messages are gathered, unless somebody relies on them: see `hasten`. Most connections that end
at all end sooner."""
RETRY = 1.0
"""Seconds until the next attempt where PID 1 cannot be reached at all, as while it executes itself anew."""
PATIENCE = 5.0
"""Seconds that a stopping daemon waits for PID 1 to have read everything."""
_FULL = (errno.EAGAIN, errno.ENOBUFS)
_NOT_OURS = (errno.EBADF, errno.EINVAL)

log = logging.getLogger(__name__)


class Parcel(NamedTuple):
    """A descriptor on its way to the store."""

    descriptor: int
    sent: Callable[[], None]


class SystemdStore:
    """Implements `ports.DescriptorStore`. To be used on a running event loop's thread."""

    def __init__(self, address: str, limit: int) -> None:
        self.limit = limit
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        self._address = address
        self._connected = False
        self._queue: dict[tuple[str, bool], Parcel | None] = {}
        """In order, by name and whether it is to be kept; None for what is to be dropped."""
        self._waiting: asyncio.TimerHandle | None = None
        self._blocked = False
        """Whether PID 1's queue is full, and its room is awaited."""
        self._failing = False
        self._empty = asyncio.Event()
        self._empty.set()

    @classmethod
    def offered(cls, address: str | None, environ: Mapping[str, str]) -> Self | None:
        """The one that this process was given, by its environment, where systemd listens at `address`; or None.

        systemd names the limit in `$FDSTORE` from version 254 on. Our unit repeats it for those before.
        """
        limit = environ.get("FDSTORE") or environ.get("GPULOCKD_FDSTORE", "")
        if address is None or not limit.isdecimal() or int(limit) == 0:
            return None
        return cls(address, int(limit))

    def keep(self, name: str, descriptor: int, sent: Callable[[], None]) -> None:
        """Stores `descriptor`, which has to stay open until it was `sent` or its name is dropped."""
        self._put((name, True), Parcel(descriptor, sent))

    def drop(self, name: str) -> None:
        """Removes what is stored by that name. It says nothing to the other end: a socket has to be shut down."""
        if self._queue.pop((name, True), None) is None:  # otherwise it never got there
            self._put((name, False), None)

    def hasten(self) -> None:
        """Sends what is gathered."""
        if self._waiting is not None and not self._failing:
            self._send()

    async def settle(self) -> None:
        """Returns when PID 1 has read everything, or after `PATIENCE`."""
        try:
            async with asyncio.timeout(PATIENCE):
                self._send()
                await self._empty.wait()
                await self._barrier()
        except TimeoutError:
            log.warning(
                "systemd has not taken every connection within %g s: %d are not stored", PATIENCE, len(self._queue)
            )

    def close(self) -> None:
        self._rest()
        self._socket.close()

    def _put(self, what: tuple[str, bool], parcel: Parcel | None) -> None:
        self._queue[what] = parcel
        self._empty.clear()
        if self._waiting is None and not self._blocked:
            self._waiting = asyncio.get_running_loop().call_later(PAUSE, self._send)

    def _rest(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
        if self._blocked:
            self._blocked = False
            asyncio.get_running_loop().remove_writer(self._socket)

    def _send(self) -> None:
        """Sends what there is, or as much of it as PID 1 has room for."""
        self._rest()
        while self._queue:
            what, parcel = next(iter(self._queue.items()))
            try:
                self._send_one(what[0], parcel)
            except OSError as error:
                if error.errno in _FULL:
                    self._blocked = True
                    asyncio.get_running_loop().add_writer(self._socket, self._send)
                    return
                if parcel is None or error.errno not in _NOT_OURS:
                    self._fail(error)
                    return
            del self._queue[what]
        self._failing = False
        self._empty.set()

    def _send_one(self, name: str, parcel: Parcel | None) -> None:
        self._connect()
        if parcel is None:
            self._socket.send(f"FDSTOREREMOVE=1\nFDNAME={name}".encode())
            return
        # FDPOLL=0: PID 1 is not to judge which connections are of use. One that was closed at the other end may hold a
        # last request, and the next daemon is to know that it ended.
        message = f"FDSTORE=1\nFDPOLL=0\nFDNAME={name}".encode()
        socket.send_fds(self._socket, [message], [parcel.descriptor])
        parcel.sent()

    def _connect(self) -> None:
        if not self._connected:
            self._socket.connect(self._address)
            self._connected = True

    def _fail(self, error: OSError) -> None:
        if not self._failing:
            self._failing = True
            log.warning("systemd cannot be asked to keep connections: %s; trying again", error)
        self._waiting = asyncio.get_running_loop().call_later(RETRY, self._send)

    async def _barrier(self) -> None:
        """PID 1 closes the descriptor that comes with it, when its turn has come."""
        loop = asyncio.get_running_loop()
        ours, theirs = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            with contextlib.ExitStack() as sent:
                sent.callback(os.close, theirs)
                while True:
                    try:
                        self._connect()
                        socket.send_fds(self._socket, [b"BARRIER=1"], [theirs])
                        break
                    except BlockingIOError:
                        await asyncio.sleep(0.001)
            read = asyncio.Event()
            loop.add_reader(ours, read.set)
            try:
                await read.wait()
            finally:
                loop.remove_reader(ours)
        except OSError as error:
            log.warning("systemd cannot be asked whether it has every connection: %s", error)
        finally:
            os.close(ours)
