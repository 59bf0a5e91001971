"""`gpulockctl config`: the running daemon's settings, and how they change. Each action is in `configuring`."""

from __future__ import annotations

import argparse

from ..arguments import common
from ..configuring import canary, changes, impact, looks
from ..context import Context
from ..render.settings import picture


def configure(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    show = actions.add_parser("show", help="every setting in force, and where it came from (also without ACTION)")
    show.set_defaults(perform=_show)
    parser.set_defaults(perform=_show)
    changes.configure(actions)
    looks.configure(actions)
    canary.configure(actions)
    impact.configure(actions)
    for each in actions.choices.values():
        common(each, argparse.SUPPRESS)


def run(context: Context, arguments: argparse.Namespace) -> int:
    code: int = arguments.perform(context, arguments)
    return code


def _show(context: Context, _: argparse.Namespace) -> int:
    document = context.ask("config")
    context.answer(document, lambda look: picture(document, look))
    return 0
