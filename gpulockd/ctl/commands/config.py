"""`gpulockctl config show`: the running daemon's settings, and where each came from."""

from __future__ import annotations

import argparse

from ..context import Context
from ..render.settings import picture


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", metavar="show", choices=["show"], nargs="?", default="show")


def run(context: Context, arguments: argparse.Namespace) -> int:  # noqa: ARG001  # `show` is all there is so far
    document = context.ask("config")
    context.answer(document, lambda look: picture(document, look))
    return 0
