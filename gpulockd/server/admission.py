"""Who gets a session: identity by the kernel, limits by user, and a clear word for those who get none."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from gpulock.errors import GpulockError, LimitExceeded

from ..core.actions import Announce, Severity
from ..core.events import SessionAdopted, SessionClosed, SessionOpened
from ..core.model import Owner
from ..ports import Observer, Processes
from . import faults
from .adoption import Survivor
from .connection import Connection
from .context import Context
from .keeping import Keeping
from .kept import KeptConnection
from .peer import Peer, peer_of
from .sessions import Sessions
from .watchers import Watchers

KEPT_FOR_ROOT = 16
"""Sessions above the limit, so that root can look at a full daemon."""


@dataclass(frozen=True, slots=True)
class Limits:
    sessions: int = 4096
    sessions_per_user: int = 2048
    buffered_per_user: int = 64 * 2**20
    """Bytes."""


class Admission:
    """Opens a session for each connection that `admit` is given, and closes it when the connection ends."""

    def __init__(
        self,
        context: Context,
        sessions: Sessions,
        watchers: Watchers,
        processes: Processes,
        limits: Limits,
        announce: Observer,
        *,
        keeping: Keeping | None = None,
        peer: Callable[[socket.socket], Peer] = peer_of,
    ) -> None:
        self._context = context
        self._sessions = sessions
        self._watchers = watchers
        self._processes = processes
        self.limits = limits
        self._announce = announce
        self._keeping = keeping
        self._peer = peer
        self._by_user: Counter[int] = Counter()
        self._last = 0
        self._refusing = False
        self._adoptions: set[asyncio.Task[None]] = set()
        self._survivors: list[tuple[Connection, socket.socket]] = []

    def number_above(self, session: int) -> None:
        """New sessions get numbers above that one: it is another's in the journal, or on a connection that goes on."""
        self._last = max(self._last, session)

    def recognise(self, sock: socket.socket, start_time: int) -> Owner | None:
        """Who is at the other end, if it is the process that began at `start_time`; None: that one has ended, and its
        number may be another's now. Raises `OSError` where that cannot be told: for want of a descriptor, or because
        only one of the two daemons can see the process."""
        try:
            owner = self._processes.identify(*self._peer(sock))
        except ConnectionAbortedError:
            return None
        seen = owner.process.start_time
        if seen == start_time:
            return owner
        self._processes.forget(owner.process)
        if not seen or not start_time:
            raise PermissionError(errno.EACCES, f"pid {owner.process.pid} cannot be seen, or could not before")
        return None

    def go_on_with(self, survivor: Survivor, waiting: Iterable[int]) -> None:
        """Goes on with a session of an earlier daemon, of which the requests `waiting` are unanswered. Nothing is read
        of it before `begin`."""
        line = survivor.line
        connection = self._take_over(survivor, survivor.session)
        connection.owe(waiting)
        connection.key = line.key or connection.key
        self._context.mailbox.post(SessionAdopted(survivor.session, survivor.owner, line.client, line.key))
        if line.watches:
            self._context.watchers.add(connection)

    def begin_anew_with(self, interrupted: Survivor) -> None:
        """Opens another session on the connection of one of which something may be lost: as if its client had come
        back by its key, and on the connection that it has. Nothing is read of it before `begin`."""
        self._last += 1
        connection = self._take_over(interrupted, self._last)
        self._context.mailbox.post(SessionOpened(self._last, interrupted.owner))
        connection.begin_anew()

    def _take_over(self, survivor: Survivor, session: int) -> KeptConnection:
        assert self._keeping is not None, "nothing survives without a store"
        connection = self._keeping.adopt(
            session, survivor.number, survivor.owner, self._context, self._leave, survivor.socket
        )
        self._enter(connection)
        self._survivors.append((connection, survivor.socket))
        return connection

    async def settle(self) -> None:
        """Returns when every connection that was admitted can be read from, and so can be kept from being read."""
        if self._adoptions:
            await asyncio.wait(self._adoptions)

    def begin(self) -> None:
        """Reads from the connections that go on."""
        survivors, self._survivors = self._survivors, []
        for connection, sock in survivors:
            self._connect(connection, sock)

    def admit(self, sock: socket.socket) -> None:
        """Opens a session on a connected, non-blocking socket, or tells the client why not and closes it.

        Raises `OSError`, the socket closed, where the daemon lacks descriptors or memory.
        """
        try:
            peer = self._peer(sock)
            if (excess := self._excess(peer.uid)) is not None:
                if peer.pidfd is not None:
                    os.close(peer.pidfd)
                self._turn_away(sock, excess)
                return
            owner = self._processes.identify(*peer)
        except OSError as error:
            _refuse(sock, LimitExceeded(f"the daemon cannot take the connection: {error.strerror}", hint=_LATER))
            raise
        self._refusing = False
        self._last += 1
        connection = self._new(self._last, owner, sock)
        self._enter(connection)
        self._context.mailbox.post(SessionOpened(connection.session, owner))
        self._connect(connection, sock)

    def _new(self, session: int, owner: Owner, sock: socket.socket) -> Connection:
        if self._keeping is not None:
            kept = self._keeping.connect(session, owner, self._context, self._leave, sock)
            if kept is not None:
                return kept
        return Connection(session, owner, self._context, self._leave)

    def _enter(self, connection: Connection) -> None:
        self._by_user[connection.owner.uid] += 1
        self._sessions.add(connection)

    def _connect(self, connection: Connection, sock: socket.socket) -> None:
        adoption = asyncio.get_running_loop().create_task(self._adopt(connection, sock))
        self._adoptions.add(adoption)
        adoption.add_done_callback(self._adoptions.discard)

    async def _adopt(self, connection: Connection, sock: socket.socket) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(lambda: connection, sock)
        except OSError as error:
            sock.close()
            connection.connection_lost(error)

    def _excess(self, uid: int) -> LimitExceeded | None:
        everybody = self.limits.sessions + (0 if uid else KEPT_FOR_ROOT)
        if len(self._sessions) >= everybody:
            return LimitExceeded(
                f"all {self.limits.sessions} sessions of the daemon are taken",
                hint="close what is not needed, or raise daemon.max_sessions",
            )
        if self._by_user[uid] >= self.limits.sessions_per_user:
            return LimitExceeded(
                f"uid {uid} has {self._by_user[uid]} sessions, as many as one user may have",
                hint="close what is not needed, or raise daemon.max_sessions_per_user",
            )
        return None

    def _turn_away(self, sock: socket.socket, excess: LimitExceeded) -> None:
        _refuse(sock, excess)
        if not self._refusing:  # once for each time that a limit is reached
            self._refusing = True
            self._announce(Announce("session.refused", excess.message, Severity.WARNING))

    def _leave(self, connection: Connection, how: str, why: str | None) -> None:
        """The connection has ended."""
        owner = connection.owner
        self._by_user[owner.uid] -= 1
        if not self._by_user[owner.uid]:
            del self._by_user[owner.uid]
        self._watchers.discard(connection)
        if self._sessions.remove(connection.session):
            self._context.mailbox.post(SessionClosed(connection.session, how))
        self._processes.forget(owner.process)
        if why is not None:
            announce = Announce(
                "session.cut-off",
                f"session {connection.session} of pid {owner.process.pid} ({owner.user}) is cut off: {why}",
                Severity.WARNING,
                {"session": connection.session, "pid": owner.process.pid, "uid": owner.uid},
            )
            # Another announcement may be on its way to the watchers, of whom this was one.
            asyncio.get_running_loop().call_soon(self._announce, announce)


_LATER = "try again; the daemon's log says what it lacks"


def _refuse(sock: socket.socket, error: GpulockError) -> None:
    with contextlib.suppress(OSError):  # a client that has gone needs no reason
        sock.send(faults.frame(error))
    sock.close()
