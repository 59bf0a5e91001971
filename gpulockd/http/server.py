"""Serves health, status, metrics and the status page over HTTP, inside the daemon's loop and never in its way.

Connections are few, bounded and short-lived when idle: whoever opens thousands of them takes no file descriptor from
those who want a GPU.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable, Collection
from typing import cast

from aiohttp import web

from gpulock.documents import StatusDocument

from ..core.actions import Announce
from ..history import Ended
from ..ports import StartupRefused
from .answers import MonitorConfig
from .application import FRESH, Sources, application
from .feed import MAX_STREAMS, Feed
from .hosts import is_loopback
from .metrics import Metrics
from .monitoring import LatestEnded

MAX_CONNECTIONS = 128 + MAX_STREAMS
"""So that open status pages leave as many for scrapers as there are without them."""
IDLE_LIMIT = 75.0
"""Seconds that a connection may be silent: longer than the usual pause between two scrapes."""
FAREWELL = 1.0
"""Seconds that answers under way have when the server stops."""
UNWATCHED: MonitorConfig = {
    "enabled": False,
    "auto_recovery": False,
    "monitor_interval": 0.0,
    "timeout_levels": {"warning": None, "soft_timeout": None, "hard_timeout": None},
    "heartbeat": {"interval": 0.0, "timeout": 0.0},
}
"""What is told of a monitor where there is none."""


def no_history(_: int) -> list[Ended]:
    """What is told of the past where nothing is kept."""
    return []


class HttpServer:
    """Listens from `start` to `stop`; with port 0 it does nothing at all."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        status: Callable[[], StatusDocument],
        metrics: Metrics,
        history: LatestEnded = no_history,
        monitor: MonitorConfig = UNWATCHED,
        names: Collection[str] = (),
        fresh: float = FRESH,
    ) -> None:
        """`names` are those of this host, by which it may be asked for besides the loopback's. An answer is given
        again for `fresh` seconds."""
        self._host = host
        self._port = port
        self._feed = Feed(status, history)
        self._sources = Sources(status, metrics, history, monitor, self._feed)
        self._names = names if is_loopback(host) else None
        self._fresh = fresh
        self._runner: web.AppRunner | None = None
        self._listener: asyncio.Server | None = None

    def use(self, monitor: MonitorConfig, poll_interval: float) -> None:
        """Shows these settings from here on."""
        self._sources.monitor = monitor
        self._sources.metrics.poll_interval = poll_interval

    async def start(self) -> None:
        """Raises `StartupRefused` where the address cannot be had."""
        if self._port == 0:
            return
        runner = web.AppRunner(
            self.application(),
            access_log=None,
            keepalive_timeout=IDLE_LIMIT,
            shutdown_timeout=FAREWELL,
            handle_signals=False,
            handler_cancellation=True,  # a status page that is closed is written to no more
        )
        await runner.setup()
        self._runner = runner
        try:
            self._listener = await asyncio.get_running_loop().create_server(self._accept, self._host, self._port)
        except OSError as error:
            await self.stop()
            raise _refused(self._host, self._port, error) from error

    def observe(self, announce: Announce) -> None:
        """A `ports.Observer`: what has happened is to be seen."""
        self._feed.observe(announce)

    def application(self) -> web.Application:
        """Its routes, which an audit of the documents looks at too."""
        return application(self._sources, self._names, self._fresh)

    async def stop(self) -> None:
        """Closes every connection. May be called more than once."""
        listener, self._listener = self._listener, None
        runner, self._runner = self._runner, None
        if listener is not None:
            listener.close()
        self._feed.close()
        if runner is not None:
            await runner.cleanup()

    def _accept(self) -> asyncio.Protocol:
        server = self._runner.server if self._runner else None
        if server is None or len(server.connections) >= MAX_CONNECTIONS:
            return _Full()
        return server()


class _Full(asyncio.Protocol):
    """Tells a client that there are too many already."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        stream = cast(asyncio.WriteTransport, transport)
        stream.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        stream.close()


def _refused(host: str, port: int, error: OSError) -> StartupRefused:
    match error.errno:
        case errno.EADDRINUSE:
            why, hint = "another program listens there", "choose another http.port; 0 turns HTTP off"
        case errno.EACCES:
            why, hint = "this user may not have so low a port", "choose a higher http.port; 0 turns HTTP off"
        case number:
            why = os.strerror(number) if number and number > 0 else error.strerror or str(error)
            hint = "http.host must be an address of this host; http.port 0 turns HTTP off"
    return StartupRefused(f"http.host and http.port: cannot listen at {host}:{port}: {why}", hint)
