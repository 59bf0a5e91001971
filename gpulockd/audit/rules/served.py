"""What the project serves and counts: HTTP routes, ports, metrics, alerts. Each that is named must exist."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches

from ..document import Document
from ..findings import Finding
from ..passage import Passage
from ..project import Project
from ..roles import of_place
from ..sections import Section, sections_of
from ..truths import Truths
from ..typed import Line, Word

RULES: Mapping[str, str] = {
    "route-unknown": "an HTTP path that the project does not serve",
    "method-unknown": "an HTTP method that its path does not answer",
    "port-differs": "a URL of this host with another port than the configuration has",
    "metric-unknown": "a metric that is not in the registry",
    "alert-unknown": "an alert that no rule file has",
}
_METHODS = "GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS"
_CODE = re.compile(rf"(?:(?P<method>{_METHODS})\s+)?(?P<path>/[\w./{{}}:<>-]*)(?:\?\S*)?")
_URL = re.compile(
    r"(?=[hl01])(?:https?://|(?<![\w./:@-])(?=[\w.]+:\d))(?P<host>localhost|127\.0\.0\.1|\[::1\]|0\.0\.0\.0)(?::(?P<port>\d+))?(?P<path>/[\w./{}:-]*)?(?![\w@])"
)
_METRIC_ENDINGS = ("", "_total", "_bucket", "_sum", "_count", "_created", "_info")
_QUERIES = frozenset(("promql", "prometheus", "yaml", "yml", "json", "text", ""))
_ALERT_HEADER = re.compile(r"^\W*(?:alerts?|alert name|告警|告警名称?|报警|警报)\W*$", re.IGNORECASE)
_ALERT_PROSE = re.compile(r"(?:\balerts?|告警|警报)\s*[:：]?\s*$", re.IGNORECASE)


def check(project: Project) -> Iterator[Finding]:
    for audited in project.documents:
        document, truths = audited.document, project.truths
        if truths.routes is not None:
            yield from _routes(document, audited.lines, truths)
        if truths.metrics is not None:
            yield from _metrics(document, truths)
        if truths.alerts is not None:
            yield from _alerts(document, truths.alerts)
            yield from _runbooks(sections_of(document), truths.alerts)


def _routes(document: Document, lines: Sequence[Line], truths: Truths) -> Iterator[Finding]:
    """In backticks, what begins as a route does; in URLs, whatever is asked of this host."""
    source, routes = document.source, truths.routes or {}
    tops = {_top(path) for path in routes} - {""}
    for passage in document.passages:
        for code in passage.codes:
            match = _CODE.fullmatch(code.text)
            if match and (_is_meant(match["path"], tops, routes) if match["method"] else _top(match["path"]) in tops):
                at = passage.offset(passage.content.find(code.text, code.start))
                yield from _route(document, at + match.start("path"), match["path"], match["method"], routes)
    posting = {line.at: _method_of(line.words) for line in lines if line.program in {"curl", "wget", "http"}}
    for block in document.blocks:
        for match in _URL.finditer(block.content):
            at = block.offset(match.start())
            yield from _port(document, block.offset(match.start("port")), match["port"], truths)
            if match["path"] and match["path"] != "/" and _is_ours(match["port"], truths):
                before = [line for line in posting if line <= at]
                near = before and source.text.count("\n", max(before), at) <= 3
                method = posting[max(before)] if near else None
                yield from _route(document, block.offset(match.start("path")), match["path"], method, routes)
    for passage in document.passages:
        for match in _URL.finditer(passage.content):
            if match["path"] and match["path"] != "/" and _is_ours(match["port"], truths):
                yield from _route(document, passage.offset(match.start("path")), match["path"], None, routes)


def _top(path: str) -> str:
    return path.strip("/").split("/")[0]


def _is_meant(path: str, tops: set[str], routes: Mapping[str, frozenset[str]]) -> bool:
    """Behind a method, what is nearly a route is one, too; other paths may be another server's."""
    return _top(path) in tops or bool(get_close_matches(path, routes, n=1))


def _method_of(words: Sequence[Word]) -> str:
    texts = [word.text for word in words]
    for option in ("-X", "--request"):
        if option in texts[:-1]:
            return str(texts[texts.index(option) + 1])
    joined = next((text[2:] for text in texts if re.fullmatch(r"-X[A-Z]+", text)), "")
    if joined:
        return joined
    posts = any(re.match(r"-d$|--data|-F$|--json", text) for text in texts)
    return "POST" if posts else "HEAD" if {"-I", "--head"} & set(texts) else "GET"


def _route(
    document: Document, at: int, path: str, method: str | None, routes: Mapping[str, frozenset[str]]
) -> Iterator[Finding]:
    place = document.source.place(at)
    path = path.rstrip(".,") if path != "/" else path
    found = next((known for known in routes if _matches(path, known)), None)
    is_above = method is None and any(route.startswith(f"{path.rstrip('/')}/") for route in routes)
    if found is None and not is_above:
        near = get_close_matches(path, routes, n=1)
        hint = f"did you mean {near[0]}?" if near else f"served are {', '.join(sorted(routes))}"
        yield Finding("route-unknown", place, f"{path} is named", "nothing is served there", hint=hint)
    elif found and method and method not in routes[found]:
        known = ", ".join(sorted(routes[found]))
        yield Finding("method-unknown", place, f"{method} {path} is named", f"it answers {known}")


def _matches(path: str, route: str) -> bool:
    """Parameters, `{id}` or `:id` or `<id>`, match any one part."""
    parts, known = path.strip("/").split("/"), route.strip("/").split("/")
    return len(parts) == len(known) and all(
        one == other or re.match(r"[{:<]", one) or re.match(r"[{:<]", other)
        for one, other in zip(parts, known, strict=True)
    )


def _ports(truths: Truths) -> set[str]:
    return {str(setting.value) for key in truths.port_keys for setting in truths.settings(key)}


def _is_ours(port: str | None, truths: Truths) -> bool:
    return not truths.port_keys or port in _ports(truths)


def _port(document: Document, at: int, port: str | None, truths: Truths) -> Iterator[Finding]:
    """Only a port that is nearly ours is meant as ours: other services listen on this host, too."""
    known = _ports(truths)
    if port and known and port not in known and get_close_matches(port, known, n=1, cutoff=0.7):
        right = ", ".join(sorted(known))
        yield Finding(
            "port-differs", document.source.place(at), f"port {port} is named", f"{truths.port_keys[0]} is {right}"
        )


def _metrics(document: Document, truths: Truths) -> Iterator[Finding]:
    prefixes = "|".join(re.escape(prefix) for prefix in truths.metric_prefixes)
    if not prefixes:
        return
    pattern = re.compile(rf"(?<![\w.-])(?:{prefixes})\w+(?![\w.(:=]|\s*:\s)")
    for passage in document.passages:
        for code in passage.codes:
            at = passage.content.find(code.text, code.start)
            for match in pattern.finditer(code.text):
                yield from _metric(document, passage.offset(at + match.start()), match.group(), truths)
    for block in document.blocks:
        for match in pattern.finditer(block.content) if block.language in _QUERIES else ():
            yield from _metric(document, block.offset(match.start()), match.group(), truths)


def _metric(document: Document, at: int, name: str, truths: Truths) -> Iterator[Finding]:
    known = truths.metrics or frozenset()
    if truths.resolve(name) or name in truths.sections or name in truths.packages or name in truths.other_names:
        return
    if any(f"{name}{ending}" in known or name.removesuffix(ending or "\0") in known for ending in _METRIC_ENDINGS):
        return
    near = get_close_matches(name, known, n=1)
    yield Finding(
        "metric-unknown",
        document.source.place(at),
        f"the metric {name} is named",
        "there is no such metric",
        hint=f"did you mean {near[0]}?" if near else "",
    )


def _alerts(document: Document, alerts: frozenset[str]) -> Iterator[Finding]:
    for table in document.tables:
        for place, header in enumerate(table.header):
            for row in table.rows if _ALERT_HEADER.search(header.words) else ():
                for code in row[place].codes:
                    yield from _alert(row[place], code.start + 1, code.text, alerts)
    for passage in document.passages:
        for code in passage.codes:
            if _ALERT_PROSE.search(passage.content, max(0, code.start - 20), code.start) and re.fullmatch(
                r"[A-Z]\w+", code.text
            ):
                yield from _alert(passage, code.start + 1, code.text, alerts)


def _runbooks(section: Section, alerts: frozenset[str]) -> Iterator[Finding]:
    """Where most sections of a chapter are called as alerts are, each of them is meant as one."""
    titles = [inner.heading.passage for inner in section.inner if inner.heading]
    known = [title for title in titles if title.content.strip() in alerts]
    for title in titles if len(known) * 2 > len(titles) else ():
        if re.fullmatch(r"[A-Z]\w+", title.content):
            yield from _alert(title, 0, title.content, alerts)
    for inner in section.inner:
        yield from _runbooks(inner, alerts)


def _alert(passage: Passage, at: int, name: str, alerts: frozenset[str]) -> Iterator[Finding]:
    if name not in alerts and of_place("", passage.section) != "suggestion":
        near = get_close_matches(name, alerts, n=1)
        yield Finding(
            "alert-unknown",
            passage.source.place(passage.offset(at)),
            f"the alert {name} is named",
            "no rule file has it",
            hint=f"did you mean {near[0]}?" if near else "",
        )
