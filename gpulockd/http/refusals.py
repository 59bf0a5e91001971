"""What is refused, and how it is said: as JSON, with the cause and what to do."""

from __future__ import annotations

from collections.abc import Collection

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from ..ports import Unavailable
from .answers import FailureAnswer
from .feed import Crowded
from .hosts import is_ours
from .monitoring import NoSuchGpu
from .routes import paths

AFTER_A_CROWD = 10
"""Seconds after which there may be room again."""


@web.middleware
async def errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPMethodNotAllowed as error:
        message = f"{request.method} is not possible: HTTP is for reading only"
        response = _failure(error.status, message, "use gpulockctl")
        response.headers["Allow"] = error.headers["Allow"]
        return response
    except web.HTTPNotFound as error:
        return _failure(error.status, f"there is nothing at {request.path}", f"there are {', '.join(paths())}")
    except NoSuchGpu as error:
        return _failure(404, str(error), "/api/v1/status lists them, as gpulockctl status does")
    except Crowded as error:
        response = _failure(503, str(error), "close some status pages, or read /api/v1/status now and then")
        response.headers["Retry-After"] = str(AFTER_A_CROWD)
        return response
    except Unavailable as error:
        return _failure(503, str(error), "gpulockctl doctor")


def refusing_other_hosts(own: Collection[str]) -> Middleware:
    """Refuses requests that mean another host than this one: see `hosts`."""

    @web.middleware
    async def refuse(request: web.Request, handler: Handler) -> web.StreamResponse:
        asked = request.headers.get("Host", "")
        if asked and not is_ours(asked, own):
            hint = "http://127.0.0.1 reaches it; to be read from elsewhere, http.host has to be an address of this host"
            return _failure(421, f"{asked[:80]!r} is no name of this host's loopback", hint)
        return await handler(request)

    return refuse


def refuse_other_sites(request: web.Request) -> web.Response | None:
    """For what costs something as long as it is open: a web page of somebody else could open it in a browser on this
    host, though it could not read it. A browser says which page asks; None: it may."""
    if request.headers.get("Sec-Fetch-Site", "none") in ("none", "same-origin"):
        return None
    return _failure(403, f"{request.path} is for this host's own status page", "open / itself")


def _failure(status: int, message: str, hint: str) -> web.Response:
    failure: FailureAnswer = {"error": {"message": message, "hint": hint}}
    return web.json_response(failure, status=status, headers={"Cache-Control": "no-store"})
