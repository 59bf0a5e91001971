"""The routes as aiohttp serves them: each answer is made of what the daemon has in memory, at most once a second."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from gpulock.documents import StatusDocument

from . import pagefiles
from .answers import MonitorConfig
from .cache import Cache
from .feed import Feed
from .health import health_of
from .metrics import Metrics
from .monitoring import Knowledge, LatestEnded
from .openapi import describe
from .refusals import errors_as_json, refuse_other_sites, refusing_other_hosts
from .routes import BOARD, METRICS, OPENAPI, PAGE, PAGE_FILE, ROUTES, Route

FRESH = 1.0
"""Seconds for which an answer is good enough for others who ask the same."""


@dataclass(slots=True)
class Sources:
    """Whom the answers are asked of."""

    status: Callable[[], StatusDocument]
    metrics: Metrics
    history: LatestEnded
    monitor: MonitorConfig
    feed: Feed


class _Reply(NamedTuple):
    body: bytes
    content_type: str
    status: int = 200

    def response(self) -> web.Response:
        headers = {"Content-Type": self.content_type, "Cache-Control": "no-store"}
        return web.Response(body=self.body, status=self.status, headers=headers)


def application(sources: Sources, own_names: Collection[str] | None, fresh: float = FRESH) -> web.Application:
    """Refuses whoever calls it by another name than `own_names` or the loopback's; None: whatever it is called."""
    pages = _Pages(sources, fresh)
    guards: list[Middleware] = [errors_as_json]
    if own_names is not None:
        guards.append(refusing_other_hosts(own_names))
    app = web.Application(middlewares=guards)
    for route in ROUTES:
        app.router.add_get(route.path, pages.showing(route))
    app.router.add_get(PAGE, _serving({pagefiles.INDEX: pagefiles.read(pagefiles.INDEX)}))
    app.router.add_get(PAGE_FILE, _serving({name: pagefiles.read(name) for name in pagefiles.FILES}))
    app.router.add_get(BOARD, pages.board)
    app.router.add_get(METRICS, pages.metrics)
    app.router.add_get(OPENAPI, pages.description)
    return app


class _Pages:
    def __init__(self, sources: Sources, fresh: float) -> None:
        self._sources = sources
        self._replies: Cache[_Reply] = Cache(fresh, time.monotonic)
        self._described: _Reply | None = None

    def showing(self, route: Route) -> Handler:
        """Serves one row of the table of routes."""

        async def show(request: web.Request) -> web.Response:
            asked = _asked(route, request)
            return self._replies.get((route.path, *asked), lambda: self._answer(route, asked)).response()

        return show

    async def metrics(self, request: web.Request) -> web.Response:
        accept = request.headers.get("Accept", "")
        return self._replies.get((METRICS, accept), lambda: self._exposition(accept)).response()

    async def board(self, request: web.Request) -> web.StreamResponse:
        """Server-sent events until the reader goes, falls behind, or the daemon stops."""
        if (refusal := refuse_other_sites(request)) is not None:
            return refusal
        headers = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-store"}
        if request.method == "HEAD":
            return web.Response(headers=headers)
        async with self._sources.feed.joined(lambda: _cut_off(request)) as frames:
            response = web.StreamResponse(headers=headers)
            await response.prepare(request)
            with contextlib.suppress(ConnectionResetError):
                async for frame in frames:
                    await response.write(frame)
        return response

    async def description(self, _: web.Request) -> web.Response:
        """Made once, beside the loop: it reads what the sources say of each form."""
        if self._described is None:
            version = self._sources.status()["daemon"]["version"]
            self._described = _as_json(await asyncio.to_thread(describe, version))
        return self._described.response()

    def _answer(self, route: Route, asked: tuple[str, ...]) -> _Reply:
        sources = self._sources
        status = sources.status()
        known = Knowledge(status, sources.metrics.tally, sources.history, sources.monitor, time.time())
        unable = route.is_health and health_of(status)["status"] != "ok"
        return _as_json(route.answer(known, *asked), 503 if unable else 200)

    def _exposition(self, accept: str) -> _Reply:
        return _Reply(*self._sources.metrics.exposition(self._sources.status(), accept))


def _serving(files: Mapping[str, pagefiles.PageFile]) -> Handler:
    """Serves the one that the path names; one that names none means the page itself."""

    async def serve(request: web.Request) -> web.Response:
        file = files.get(request.match_info.get("file", pagefiles.INDEX))
        if file is None:
            raise web.HTTPNotFound
        response = web.Response(body=file.body, headers={**pagefiles.HEADERS, "Content-Type": file.kind})
        response.force_close()  # a browser would keep half a dozen connections for a page that needs one
        return response

    return serve


def _cut_off(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


def _asked(route: Route, request: web.Request) -> tuple[str, ...]:
    """The value of the route's parameter, if it has one."""
    parameter = route.parameter
    if parameter is None:
        return ()
    if parameter.default is None:
        return (request.match_info[parameter.name],)
    return (request.query.get(parameter.name, parameter.default),)


def _as_json(document: object, status: int = 200) -> _Reply:
    return _Reply(json.dumps(document, allow_nan=False).encode(), "application/json; charset=utf-8", status)
