"""`gpulockctl config canary | promote | abort`: another configuration for a share of the sessions."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from gpulock.errors import BadConfiguration, ConfigurationUnwritable, InvalidRequest

from ..arguments import duration
from ..context import Context
from ..render.canary import picture
from .changes import content_of, written_here
from .faults import told

if TYPE_CHECKING:
    Actions = argparse._SubParsersAction[argparse.ArgumentParser]


def configure(actions: Actions) -> None:
    canary = actions.add_parser("canary", help="try FILE on a share of the sessions; without arguments: how it goes")
    canary.add_argument("file", metavar="FILE", nargs="?", help="the candidate, a whole configuration; - reads stdin")
    canary.add_argument("--percent", metavar="P", type=_percent, help="of the sessions; without FILE: another share")
    canary.add_argument("--for", metavar="TIME", dest="lasts", type=duration, help="take it back after 24h, say")
    canary.set_defaults(perform=_canary)
    promote = actions.add_parser("promote", help="make the canary's candidate everybody's (administrators)")
    promote.set_defaults(perform=_promote)
    abort = actions.add_parser("abort", help="take the canary's candidate back (administrators)")
    abort.set_defaults(perform=_abort)
    for parser in (canary, promote, abort):
        parser.add_argument("--reason", metavar="TEXT", default="", help="why; the history keeps it")


def _percent(text: str) -> float:
    try:
        number = float(text.removesuffix("%"))
    except ValueError:
        number = 0.0
    if not 0 < number <= 100:
        raise argparse.ArgumentTypeError(f"{text!r} is not a percentage above 0, up to 100")
    return number


def _canary(context: Context, arguments: argparse.Namespace) -> int:
    percent, lasts = arguments.percent, arguments.lasts
    if arguments.file is None and percent is None:
        return _show(context, "canary")
    if arguments.file is None:
        if lasts is not None:
            raise InvalidRequest("--for is said when a canary begins", hint="gpulockctl config abort ends it sooner")
        return _show(context, "canary_stage", percent=percent, reason=arguments.reason)
    if percent is None:
        raise InvalidRequest("how many of the sessions are to have it?", hint="--percent 10")
    asked = {} if lasts is None else {"lasts": lasts}
    try:
        content = content_of(arguments.file)
        return _show(context, "canary_start", content=content, percent=percent, reason=arguments.reason, **asked)
    except BadConfiguration as error:
        return told(error, arguments.file)


def _promote(context: Context, arguments: argparse.Namespace) -> int:
    try:
        return _show(context, "canary_promote", reason=arguments.reason)
    except ConfigurationUnwritable as error:
        if "content" not in error.data:
            raise
        written_here(context, error, error.data["content"], arguments.reason)
        return _show(context, "canary_promote", reason=arguments.reason)


def _abort(context: Context, arguments: argparse.Namespace) -> int:
    return _show(context, "canary_abort", reason=arguments.reason)


def _show(context: Context, method: str, **params: object) -> int:
    document = context.ask(method, **params)
    context.answer(document, lambda look: picture(document, look))
    return 0
