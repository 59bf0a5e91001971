"""The OpenAPI description of what HTTP answers, made of the table of routes and the forms of the answers."""

from __future__ import annotations

import re
from typing import Any

from .answers import FailureAnswer
from .routes import METRICS, OPENAPI, ROUTES, Parameter, Route, paths
from .schema import Schema, schema_of


def describe(version: str) -> dict[str, Any]:
    """The description, as OpenAPI 3.1. `version` is that of the daemon."""
    definitions: dict[str, Schema] = {}
    meanings = paths()
    described = {route.path: {"get": _operation(route, definitions)} for route in ROUTES}
    described[METRICS] = {"get": _get(METRICS, meanings[METRICS], {"text/plain": {"schema": {"type": "string"}}})}
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
    operation["responses"]["503"] = unable if route.is_health else {"$ref": "#/components/responses/Failure"}
    if route.parameter is not None:
        operation["parameters"] = [_parameter(route.parameter)]
        if route.parameter.default is not None:
            operation["responses"]["404"] = {"$ref": "#/components/responses/Failure"}
    return operation


def _get(path: str, meaning: str, content: dict[str, Any]) -> dict[str, Any]:
    return {
        "operationId": "_".join(re.findall(r"\w+", path)),
        "summary": meaning,
        "responses": {
            "200": {"description": meaning, "content": content},
            "421": {"$ref": "#/components/responses/Failure"},
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
