"""`gpulockctl describe`: everything that is known of one thing."""

from __future__ import annotations

import argparse

from ..arguments import SUBJECT, subject
from ..context import Context
from ..render.facts import picture


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("subject", metavar="SUBJECT", type=subject, help=SUBJECT)


def run(context: Context, arguments: argparse.Namespace) -> int:
    document = context.ask("describe", subject=arguments.subject)
    context.answer(document, lambda look: picture(document, look))
    return 0
