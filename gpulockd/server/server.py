"""The whole room in one object: made with what it needs, started, stopped."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable

from gpulock import wire

from ..core.actions import Announce, Severity
from ..core.settings import Settings
from ..ports import Mailbox, Observer, Processes, Saved
from . import adoption, endpoint
from .activation import Inherited, inherited
from .admission import Admission, Limits
from .buffers import Buffers
from .context import Context, Sources
from .keeping import LISTENER, Keeping
from .listener import Listener
from .peer import Peer, peer_of
from .sessions import Sessions
from .watchers import Watchers


class Server:
    """Listens at `path`, or at the socket that systemd has opened."""

    def __init__(
        self,
        path: str,
        *,
        mailbox: Mailbox,
        sessions: Sessions,
        watchers: Watchers,
        processes: Processes,
        settings: Settings,
        sources: Sources,
        limits: Limits,
        version: str,
        announce: Observer,
        keeping: Keeping | None = None,
        peer: Callable[[socket.socket], Peer] = peer_of,
    ) -> None:
        self.path = path
        self._sessions = sessions
        self._announce = announce
        self._keeping = keeping
        self.buffers = Buffers(limits.buffered_per_user)
        self._context = Context(
            mailbox, settings, sources, watchers, self.buffers, f"gpulockd {version}", _bounds(settings, limits)
        )
        self._admission = Admission(
            self._context, sessions, watchers, processes, limits, announce, keeping=keeping, peer=peer
        )
        self._passed: adoption.Passed | None = None
        self._endpoint: endpoint.Endpoint | None = None
        self._listener: Listener | None = None

    def adopt(self, saved: Saved) -> frozenset[int]:
        """Takes over the connections of an earlier daemon that systemd kept. Posts `SessionAdopted` for each that goes
        on, `SessionOpened` for each that begins anew; nothing is read of them before `start`. Returns the sessions that
        have ended for certain."""
        passed = self._passed = adoption.told_apart(inherited())
        sessions = {session for session, _ in passed.clients}
        sessions |= {lock.session or 0 for lock in saved.locks} | {request.session for request in saved.requests}
        self._admission.number_above(max(sessions, default=0))
        if self._keeping is None:
            adoption.turn_away(passed)
            passed.listener = None
            return frozenset()
        self._keeping.begin(passed.roll, self._context, saved.journal)
        self._tell_of_little_room(self._keeping.room)
        judgement = adoption.judged(passed, self._keeping.roll, self._keeping.store, self._admission.recognise)
        taken_over = (*judgement.survivors, *judgement.interrupted)
        self._admission.number_above(max((each.session for each in taken_over), default=0))
        for survivor in judgement.survivors:
            waiting = [request.msgid for request in saved.requests if request.session == survivor.session]
            self._admission.go_on_with(survivor, waiting)
        for interrupted in judgement.interrupted:
            self._admission.begin_anew_with(interrupted)
        self._keeping.open()
        if passed.clients:
            self._announce(
                Announce(
                    "server.adopted",
                    f"{len(judgement.survivors)} connections of the daemon before go on; {len(judgement.interrupted)} "
                    f"were in the midst of something and begin anew, {judgement.cut} are ended",
                    data={
                        "adopted": len(judgement.survivors),
                        "interrupted": len(judgement.interrupted),
                        "cut": judgement.cut,
                    },
                )
            )
        if judgement.lost:
            message = f"{judgement.lost} connections of the daemon before are lost: their clients have to come back"
            self._announce(Announce("server.lost-connections", message, Severity.WARNING))
        return frozenset(judgement.ended)

    def _tell_of_little_room(self, room: int) -> None:
        sessions = self._context.limits["sessions"]
        if room < sessions:
            message = (
                f"systemd keeps {room} connections over a restart, and daemon.max_sessions is {sessions}: raise "
                f"FileDescriptorStoreMax= of the unit"
            )
            self._announce(Announce("server.little-room", message, Severity.WARNING))

    def start(self) -> None:
        """Begins to accept, and to read. Raises `StartupRefused` where the socket cannot be had."""
        passed = self._passed if self._passed is not None else adoption.told_apart(inherited())
        self._endpoint = endpoint.adopt(passed.doors) or self._own_door(passed.listener)
        self.path = self._endpoint.path
        self._listener = Listener(self._endpoint.socket, self._admission.admit, self._announce)
        self._listener.start()
        self._admission.begin()
        audience = self._endpoint.audience
        self._announce(Announce("server.listening", f"{self.path} is open to {audience}"))

    def _own_door(self, kept: int | None) -> endpoint.Endpoint:
        """A listening socket of this daemon's own, or of the daemon's before, with the clients that wait at it."""
        if self._keeping is None:
            return endpoint.bind(self.path)
        if kept is not None:
            if (opened := endpoint.taken_over(Inherited(LISTENER, kept), self.path)) is not None:
                return opened
            self._keeping.store.drop(LISTENER)
        opened = endpoint.bind(self.path)
        opened.made = None  # it outlives this daemon
        self._keeping.store.keep(LISTENER, opened.socket.fileno(), lambda: None)
        return opened

    async def part(self, turned: Callable[[], Awaitable[None]]) -> None:
        """Accepts and reads nothing more, and returns once everything that was read is answered, or after a moment.
        Where no connection outlives the daemon, this does nothing. `turned` returns after a turn of the engine."""
        if self._keeping is not None:
            if self._listener is not None:
                self._listener.stop()
            await self._admission.settle()
            await self._keeping.part(turned)

    def use(self, settings: Settings, limits: Limits) -> None:
        """What arrives from here on is filled in, and whoever connects admitted, by these."""
        self._context.settings, self._context.limits = settings, _bounds(settings, limits)
        self._admission.limits = limits
        self.buffers.limit = limits.buffered_per_user

    def stop(self) -> None:
        """Ends every connection that is not kept, and reports none of them closed. May be called more than once."""
        listener, self._listener = self._listener, None
        opened, self._endpoint = self._endpoint, None
        if listener is not None:
            listener.stop()
        if opened is not None:
            opened.close()
        self._sessions.disconnect_all()


def _bounds(settings: Settings, limits: Limits) -> dict[str, float]:
    """What `hello` tells of them."""
    return {
        "max_wait_time": settings.max_wait_time,
        "request_bytes": wire.MAX_REQUEST_BYTES,
        "reply_bytes": wire.MAX_REPLY_BYTES,
        "requests": settings.max_requests_per_session,
        "sessions": limits.sessions,
        "sessions_per_user": limits.sessions_per_user,
        "requests_per_user": settings.max_requests_per_user,
        "locks_per_user": settings.max_locks_per_user,
        "buffered_bytes_per_user": limits.buffered_per_user,
    }
