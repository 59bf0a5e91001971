"""The OpenAPI description of what HTTP answers, made of the table of routes and the forms of the answers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from . import pagefiles
from .answers import FailureAnswer
from .board import Board
from .routes import BOARD, METRICS, OPENAPI, PAGE, PAGE_FILE, ROUTES, Parameter, Route, paths
from .schema import Schema, schema_of

_FAILURE = {"$ref": "#/components/responses/Failure"}
_TEXT: Mapping[str, Any] = {"schema": {"type": "string"}}


def describe(version: str) -> dict[str, Any]:
    """The description, as OpenAPI 3.1. `version` is that of the daemon."""
    definitions: dict[str, Schema] = {}
    meanings = paths()
    described = {route.path: {"get": _operation(route, definitions)} for route in ROUTES}
    described[BOARD] = {"get": _board(meanings[BOARD], definitions)}
    described[PAGE] = {"get": _get(PAGE, meanings[PAGE], {"text/html": _TEXT})}
    described[PAGE_FILE] = {"get": _page_file(meanings[PAGE_FILE])}
    described[METRICS] = {"get": _get(METRICS, meanings[METRICS], {"text/plain": _TEXT})}
    described[OPENAPI] = {"get": _get(OPENAPI, meanings[OPENAPI], {"application/json": {"schema": {"type": "object"}}})}
    failure = {
        "description": "What is wrong with the request, and what to do",
        "content": {"application/json": {"schema": schema_of(FailureAnswer, definitions)}},
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "gpulockd",
            "version": version,
            "description": "Who has which GPU of this host, for reading: what changes anything goes over the socket.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "paths": described,
        "components": {"schemas": dict(sorted(definitions.items())), "responses": {"Failure": failure}},
    }


def _operation(route: Route, definitions: dict[str, Schema]) -> dict[str, Any]:
    content = {"application/json": {"schema": schema_of(route.form, definitions)}}
    operation = _get(route.path, route.meaning, content)
    unable = {"description": "Nothing could be granted, and why", "content": content}
    operation["responses"]["503"] = unable if route.is_health else _FAILURE
    if route.parameter is not None:
        operation["parameters"] = [_parameter(route.parameter)]
        if route.parameter.default is not None:
            operation["responses"]["404"] = _FAILURE
    return operation


def _board(meaning: str, definitions: dict[str, Schema]) -> dict[str, Any]:
    """What is described of a stream is one of its events."""
    data = {"type": "string", "contentMediaType": "application/json", "contentSchema": schema_of(Board, definitions)}
    event = {"type": "object", "properties": {"data": data, "retry": {"type": "integer"}}, "required": ["data"]}
    operation = _get(BOARD, meaning, {"text/event-stream": {"schema": event}})
    operation["responses"] |= {"403": _FAILURE, "503": _FAILURE}
    return operation


def _page_file(meaning: str) -> dict[str, Any]:
    kinds = sorted({pagefiles.read(name).kind.partition(";")[0] for name in pagefiles.FILES})
    operation = _get(PAGE_FILE, meaning, dict.fromkeys(kinds, _TEXT))
    operation["responses"]["404"] = _FAILURE
    schema = {"type": "string", "enum": list(pagefiles.FILES)}
    operation["parameters"] = [{"name": "file", "in": "path", "required": True, "schema": schema}]
    return operation


def _get(path: str, meaning: str, content: dict[str, Any]) -> dict[str, Any]:
    return {
        "operationId": "_".join(re.findall(r"\w+", path)) or "page",
        "summary": meaning,
        "responses": {
            "200": {"description": meaning, "content": content},
            "421": _FAILURE,
        },
    }


def _parameter(parameter: Parameter) -> dict[str, Any]:
    in_path = parameter.default is None
    schema: Schema = {"type": "string", "minLength": 1} if in_path else {"type": "string", "default": parameter.default}
    return {
        "name": parameter.name,
        "in": "path" if in_path else "query",
        "required": in_path,
        "description": parameter.meaning,
        "schema": schema,
    }
