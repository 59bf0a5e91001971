"""`gpulockctl undrain`: takes a drain back."""

from __future__ import annotations

import argparse

from ..context import Context
from ..render.amounts import count
from ..render.text import Text


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("gpu", metavar="GPU", nargs="?", help="index, UUID or its beginning; none: every GPU")


def run(context: Context, arguments: argparse.Namespace) -> int:
    answer = context.ask("undrain", **({} if arguments.gpu is None else {"gpu": arguments.gpu}))
    what = count(len(answer["gpus"]), "GPU") if arguments.gpu is None else f"GPU {arguments.gpu}"
    context.answer(answer, lambda _: [Text(f"{what} back in service")])
    return 0
