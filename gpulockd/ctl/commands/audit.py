"""`gpulockctl audit`: holds documents against configuration and code. Exits with 1 if something is found."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ..arguments import parser_of, top_parser
from ..catalogue import COMMANDS
from ..context import Context

if TYPE_CHECKING:
    from ...audit import Program

FOUND, TROUBLE = 1, 2


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config", metavar="FILE", type=Path, action="append", default=[], help="what is true; may be repeated"
    )
    parser.add_argument(
        "--docs", metavar="PATH", type=Path, nargs="+", default=[], help="Markdown files, and folders of them"
    )
    parser.add_argument("--rules", metavar="FILE", type=Path, help="what else is true of the project: audit.yml")
    parser.add_argument("--root", metavar="DIR", type=Path, default=Path(), help="the project's folder (this one)")


def run(context: Context, arguments: argparse.Namespace) -> int:
    from ...audit import Request, Unreadable, audit
    from ...audit.profiles.generic import Generic
    from ...audit.profiles.gpulockd import Gpulockd
    from ..render.audit import as_document, picture

    profiles = (Gpulockd(own_program()), Generic())
    try:
        outcome = audit(
            Request(arguments.root, arguments.config, arguments.docs, arguments.rules, profiles, _progress())
        )
    except Unreadable as trouble:
        where = f"{trouble.place}: " if trouble.place else ""
        print(f"gpulockctl audit: {where}{trouble.why}", file=sys.stderr)
        if trouble.hint:
            print(f"  {trouble.hint}", file=sys.stderr)
        return TROUBLE
    context.answer(as_document(outcome), lambda look: picture(outcome, look))
    return FOUND if outcome.findings else 0


def own_program() -> Program:
    """gpulockctl as its own parsers have it."""
    from ...audit import of_parser

    return of_parser(top_parser(), {name: of_parser(parser_of(name)[1]) for name in COMMANDS})


def _progress() -> Callable[[int, int], None]:
    """Shows on a terminal's standard error how far the audit is; elsewhere it says nothing."""
    if not sys.stderr.isatty():
        return lambda *_: None

    def show(done: int, files: int) -> None:
        sys.stderr.write(f"\r{done} of {files} files " if done < files else "\r\x1b[K")
        sys.stderr.flush()

    return show
