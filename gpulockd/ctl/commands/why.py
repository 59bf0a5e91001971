"""`gpulockctl why`: what stands in the way, and what to type next."""

from __future__ import annotations

import argparse

from ..arguments import SUBJECT, subject
from ..context import Context
from ..render.reasons import picture


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("subject", metavar="SUBJECT", type=subject, help=SUBJECT)


def run(context: Context, arguments: argparse.Namespace) -> int:
    document = context.ask("why", subject=arguments.subject)
    context.answer(document, lambda look: picture(document, look))
    return 0
