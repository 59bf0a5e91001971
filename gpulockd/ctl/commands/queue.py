"""`gpulockctl queue`: who waits, in order."""

from __future__ import annotations

import argparse

from ..context import Context
from ..render.queue import picture


def configure(parser: argparse.ArgumentParser) -> None:
    """No arguments of its own."""


def run(context: Context, arguments: argparse.Namespace) -> int:  # noqa: ARG001  # every command has this form
    document = context.ask("queue")
    context.answer(document, lambda look: picture(document, look))
    return 0
