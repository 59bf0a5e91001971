"""What Python sources serve over HTTP, and which metrics they have: read, never run."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

_METHODS = frozenset(("get", "post", "put", "patch", "delete", "head", "options"))
_ROUTES = frozenset(("route", "api_route", "add_route", "add_api_route", "add_url_rule", "websocket", "path"))
_METRICS = frozenset(("Counter", "Gauge", "Histogram", "Summary", "Info", "Enum"))


def routes_of(sources: Iterable[str]) -> dict[str, frozenset[str]]:
    """Paths and their methods, as FastAPI, Flask, Starlette and aiohttp are told of them.

    `@app.get("/items")`, `@app.route("/items", methods=["POST"])`, `web.get("/items", function)`,
    `router.add_post("/items", function)`. A prefix that a router is mounted at is not known, so none is put before.
    """
    found: dict[str, frozenset[str]] = {}
    for call in _calls(sources):
        name = ast.unparse(call.func).rpartition(".")[2]
        method = name.removeprefix("add_")
        path = _text(call)
        if path is None or not path.startswith("/") or not (method in _METHODS or name in _ROUTES):
            continue
        methods = {method.upper()} if method in _METHODS else _listed(call) or {"GET"}
        if "GET" in methods:
            methods |= {"HEAD"}
        found[path] = found.get(path, frozenset()) | methods
    return found


def metrics_of(sources: Iterable[str]) -> frozenset[str]:
    """The names that metrics of prometheus_client are made with; a counter is served as `NAME_total`."""
    found = set()
    for call in _calls(sources):
        kind, name = ast.unparse(call.func).rpartition(".")[2], _text(call)
        if kind in _METRICS and name:
            found.add(f"{name.removesuffix('_total')}_total" if kind == "Counter" else name)
    return frozenset(found)


def _calls(sources: Iterable[str]) -> Iterator[ast.Call]:
    for source in sources:
        try:
            tree = ast.parse(source)
        except (SyntaxError, ValueError):
            continue
        yield from (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def _text(call: ast.Call) -> str | None:
    first = call.args[0] if call.args else None
    return first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else None


def _listed(call: ast.Call) -> set[str]:
    given = next((keyword.value for keyword in call.keywords if keyword.arg == "methods"), None)
    if not isinstance(given, ast.List | ast.Tuple | ast.Set):
        return set()
    return {each.value.upper() for each in given.elts if isinstance(each, ast.Constant) and isinstance(each.value, str)}
