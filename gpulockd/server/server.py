"""The whole room in one object: made with what it needs, started, stopped."""

from __future__ import annotations

import socket
from collections.abc import Callable

from gpulock import wire

from ..core.actions import Announce
from ..core.model import Settings
from ..ports import Mailbox, Observer, Processes
from . import endpoint
from .activation import inherited
from .admission import Admission, Limits
from .context import Context, Sources
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
        peer: Callable[[socket.socket], Peer] = peer_of,
    ) -> None:
        self.path = path
        self._sessions = sessions
        self._announce = announce
        context = Context(mailbox, settings, sources, watchers, f"gpulockd {version}", _bounds(settings, limits))
        self._context = context
        self._admission = Admission(context, sessions, watchers, processes, limits, announce, peer=peer)
        self._endpoint: endpoint.Endpoint | None = None
        self._listener: Listener | None = None

    def start(self) -> None:
        """Begins to accept. Raises `StartupRefused` where the socket cannot be had."""
        self._endpoint = endpoint.adopt(inherited()) or endpoint.bind(self.path)
        self.path = self._endpoint.path
        self._listener = Listener(self._endpoint.socket, self._admission.admit, self._announce)
        self._listener.start()
        audience = self._endpoint.audience
        self._announce(Announce("server.listening", f"{self.path} is open to {audience}"))

    def use(self, settings: Settings, limits: Limits) -> None:
        """What arrives from here on is filled in, and whoever connects admitted, by these."""
        self._context.settings, self._context.limits = settings, _bounds(settings, limits)
        self._admission.limits = limits

    def stop(self) -> None:
        """Ends every connection, and reports none of them closed. May be called more than once."""
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
    }
