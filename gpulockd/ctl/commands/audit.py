"""`gpulockctl audit`: holds documents against configuration and code. Exits with 1 if something is found."""

from __future__ import annotations

import argparse
import gc
import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..arguments import parser_of, top_parser
from ..catalogue import COMMANDS
from ..context import Context

if TYPE_CHECKING:
    from ...audit import Live, Outcome, Program, Request, Unreadable
    from ...audit.quantities import Value

FOUND, TROUBLE = 1, 2
HTTP_LIMIT = 5.0
"""Seconds that the daemon has to answer with its metrics."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config", metavar="FILE", type=Path, action="append", default=[], help="what is true; may be repeated"
    )
    parser.add_argument(
        "--docs", metavar="PATH", type=Path, nargs="+", default=[], help="Markdown files, and folders of them"
    )
    parser.add_argument("--rules", metavar="FILE", type=Path, help="what else is true of the project: audit.yml")
    parser.add_argument("--root", metavar="DIR", type=Path, default=Path(), help="the project's folder (this one)")
    parser.add_argument("--fix", action="store_true", help="put right what has one right answer, then audit again")
    parser.add_argument(
        "--format",
        choices=("text", "json", "sarif", "annotations"),
        default="text",
        help="json is --json; annotations show findings beside the lines of a change (::error ...)",
    )
    parser.add_argument("--live", action="store_true", help="ask the running daemon too: its settings, its metrics")
    parser.add_argument("--list-rules", action="store_true", help="every rule's id, and what it finds")


def run(context: Context, arguments: argparse.Namespace) -> int:
    from ...audit.rules import RULES

    if arguments.list_rules:
        context.out.write("".join(f"{rule:<26}{text}\n" for rule, text in RULES.items()))
        return 0
    request = _request(arguments, _live(context) if arguments.live else None)
    with _uncollected():
        return _audited(context, arguments, request)


def _audited(context: Context, arguments: argparse.Namespace, request: Request) -> int:
    from ...audit import Unreadable, audit, fix

    try:
        outcome = audit(request)
        if arguments.fix and (edits := [each.edit for each in outcome.findings if each.edit]):
            made = fix(edits, outcome.sources)
            print(f"{made} corrected", file=sys.stderr)
            outcome = audit(request)
    except Unreadable as trouble:
        return _explained(trouble)
    _answer(context, outcome, arguments.format)
    return FOUND if outcome.findings else 0


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without garbage collection, which would take half of the time: parsing makes many objects and little garbage."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def own_program() -> Program:
    """gpulockctl as its own parsers have it."""
    from ...audit import of_parser

    return of_parser(top_parser(), {name: of_parser(parser_of(name)[1]) for name in COMMANDS})


def _live(context: Context) -> Live:
    """Raises `GpulockError` where no daemon answers."""
    from urllib.error import URLError
    from urllib.request import urlopen

    from ...audit import Live, Setting

    told = context.ask("config")["settings"]
    values = {each["key"]: each["value"] for each in told}
    settings = {each["key"]: Setting(each["key"], _value(each["value"]), f"from {each['source']}") for each in told}
    host, port = values.get("http.host"), values.get("http.port")
    if not port:
        return Live(settings, None)
    address = f"[{host}]" if ":" in str(host) else host
    try:
        with urlopen(f"http://{address}:{port}/metrics", timeout=HTTP_LIMIT) as answer:
            text = answer.read().decode()
    except (URLError, OSError, ValueError) as error:
        print(f"gpulockctl audit: /metrics cannot be read: {error}", file=sys.stderr)
        return Live(settings, None)
    return Live(settings, frozenset(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE)))


def _value(value: Any) -> Value:
    """A setting's value as the wire has it."""
    return tuple(value) if isinstance(value, list) else value


def _request(arguments: argparse.Namespace, live: Live | None) -> Request:
    from ...audit import Request
    from ...audit.profiles.generic import Generic
    from ...audit.profiles.gpulockd import Gpulockd

    return Request(
        root=arguments.root,
        configs=arguments.config,
        docs=arguments.docs,
        rules=arguments.rules,
        profiles={"gpulockd": Gpulockd(own_program()), "generic": Generic()},
        live=live,
        progress=_progress(),
    )


def _answer(context: Context, outcome: Outcome, form: str) -> None:
    from ...audit.rules import RULES
    from ...audit.sarif import annotation, sarif
    from ...version import __version__
    from ..render.audit import as_document, picture

    if form == "sarif":
        json.dump(sarif(outcome.findings, RULES, __version__), context.out, indent=2)
        context.out.write("\n")
    elif form == "annotations":
        context.out.write("".join(annotation(finding) + "\n" for finding in outcome.findings))
    elif form == "json":
        context.emit(as_document(outcome))
    else:
        context.answer(as_document(outcome), lambda look: picture(outcome, look))


def _explained(trouble: Unreadable) -> int:
    where = f"{trouble.place}: " if trouble.place else ""
    print(f"gpulockctl audit: {where}{trouble.why}", file=sys.stderr)
    if trouble.hint:
        print(f"  {trouble.hint}", file=sys.stderr)
    return TROUBLE


def _progress() -> Callable[[int, int], None]:
    """Shows on a terminal's standard error how far the audit is; elsewhere it says nothing."""
    if not sys.stderr.isatty():
        return lambda *_: None

    def show(done: int, files: int) -> None:
        sys.stderr.write(f"\r{done} of {files} files " if done < files else "\r\x1b[K")
        sys.stderr.flush()

    return show
