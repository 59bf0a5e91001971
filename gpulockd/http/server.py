"""Serves health, status and metrics over HTTP, inside the daemon's loop and never in its way.

Every answer is made at once from what the daemon has in memory. Connections are few, bounded and short-lived when
idle: whoever opens thousands of them takes no file descriptor from those who want a GPU.
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
from collections.abc import Awaitable, Callable
from typing import Any, cast

from aiohttp import web

from gpulock.documents import StatusDocument

from ..ports import StartupRefused
from .health import health_of
from .metrics import Metrics

MAX_CONNECTIONS = 128
IDLE_LIMIT = 75.0
"""Seconds that a connection may be silent: longer than the usual pause between two scrapes."""
FAREWELL = 1.0
"""Seconds that answers under way have when the server stops."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class HttpServer:
    """Listens from `start` to `stop`; with port 0 it does nothing at all."""

    def __init__(self, host: str, port: int, *, status: Callable[[], StatusDocument], metrics: Metrics) -> None:
        self._host = host
        self._port = port
        self._status = status
        self._metrics = metrics
        self._runner: web.AppRunner | None = None
        self._listener: asyncio.Server | None = None

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
        )
        await runner.setup()
        self._runner = runner
        try:
            self._listener = await asyncio.get_running_loop().create_server(self._accept, self._host, self._port)
        except OSError as error:
            await self.stop()
            raise _refused(self._host, self._port, error) from error

    def application(self) -> web.Application:
        """Its routes, which an audit of the documents looks at too."""
        app = web.Application(middlewares=[_errors_as_json])
        app.router.add_get("/health", self._health)
        app.router.add_get("/api/v1/status", self._show_status)
        app.router.add_get("/metrics", self._show_metrics)
        return app

    async def stop(self) -> None:
        """Closes every connection. May be called more than once."""
        listener, self._listener = self._listener, None
        runner, self._runner = self._runner, None
        if listener is not None:
            listener.close()
        if runner is not None:
            await runner.cleanup()

    def _accept(self) -> asyncio.Protocol:
        server = self._runner.server if self._runner else None
        if server is None or len(server.connections) >= MAX_CONNECTIONS:
            return _Full()
        return server()

    async def _health(self, _: web.Request) -> web.Response:
        health = health_of(self._status())
        return _json(health, 200 if health["status"] == "ok" else 503)

    async def _show_status(self, _: web.Request) -> web.Response:
        return _json(self._status())

    async def _show_metrics(self, request: web.Request) -> web.Response:
        body, content_type = self._metrics.exposition(self._status(), request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type, "Cache-Control": "no-store"})


class _Full(asyncio.Protocol):
    """Tells a client that there are too many already."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        stream = cast(asyncio.WriteTransport, transport)
        stream.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        stream.close()


def _json(document: Any, status: int = 200) -> web.Response:
    text = json.dumps(document, allow_nan=False)
    return web.json_response(text=text, status=status, headers={"Cache-Control": "no-store"})


@web.middleware
async def _errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPMethodNotAllowed as error:
        return _error(error, f"{request.method} is not possible: HTTP is for reading only", "use gpulockctl")
    except web.HTTPNotFound as error:
        return _error(error, f"there is nothing at {request.path}", "see /health, /api/v1/status, /metrics")


def _error(error: web.HTTPException, message: str, hint: str) -> web.Response:
    response = _json({"error": {"message": message, "hint": hint}}, error.status)
    if "Allow" in error.headers:
        response.headers["Allow"] = error.headers["Allow"]
    return response


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
