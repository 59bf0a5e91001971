"""`gpulockctl status`: the host, or the fleet, at a glance; once, or for as long as one looks."""

from __future__ import annotations

import argparse

from ..context import Context


def configure(parser: argparse.ArgumentParser) -> None:
    one = parser.add_mutually_exclusive_group()  # this host's daemon hears of this host's events only
    one.add_argument("--fleet", action="store_true", help="every host that shares the daemon's Redis")
    one.add_argument("--watch", "-w", action="store_true", help="redraw whenever something happens")


def run(context: Context, arguments: argparse.Namespace) -> int:
    if arguments.watch:
        from ..watch import watch

        return watch(context)
    if arguments.fleet:
        from ..render.fleet import picture
    else:
        from ..render.status import picture
    document = context.ask("status", **({"fleet": True} if arguments.fleet else {}))
    context.answer(document, lambda look: picture(document, look))
    return 0
