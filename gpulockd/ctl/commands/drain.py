"""`gpulockctl drain`: grants nothing more on a GPU, or on the whole host. Holders stay."""

from __future__ import annotations

import argparse

from ..context import Context
from ..render.amounts import count
from ..render.text import Text


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("gpu", metavar="GPU", nargs="?", help="index, UUID or its beginning; none: every GPU")
    parser.add_argument("--reason", metavar="TEXT", default="", help="shown in status to those who wait")


def run(context: Context, arguments: argparse.Namespace) -> int:
    params = {"reason": arguments.reason} | ({} if arguments.gpu is None else {"gpu": arguments.gpu})
    answer = context.ask("drain", **params)
    what = count(len(answer["gpus"]), "GPU") if arguments.gpu is None else f"GPU {arguments.gpu}"
    undo = " ".join(["gpulockctl undrain", *([arguments.gpu] if arguments.gpu else [])])
    context.answer(answer, lambda _: [Text(f"{what} drained: nothing new is granted, holders stay. Undo: {undo}")])
    return 0
