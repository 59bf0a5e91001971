"""`gpulockctl top`: GPUs, holders, waiters and the latest ends on a terminal, live."""

from __future__ import annotations

import argparse
import sys

from ..arguments import duration
from ..context import Context
from ..render.top import ORDERS

USAGE = 2
SHORTEST = 0.5


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--interval",
        "-d",
        metavar="TIME",
        type=_interval,
        default=2.0,
        help="between two looks at load and memory",
    )
    parser.add_argument("--sort", choices=ORDERS, default=ORDERS[0], help="the order of the GPUs; the key s changes it")


def run(context: Context, arguments: argparse.Namespace) -> int:
    if context.as_json or not context.look.terminal:
        what = "has no JSON" if context.as_json else "draws on a terminal, and this is none"
        print(f"gpulockctl: top {what}", file=sys.stderr)
        print("  for programs and files: gpulockctl status --watch --json", file=sys.stderr)
        return USAGE
    from ..top import top

    return top(context, sys.stdin, arguments.interval, arguments.sort)


def _interval(text: str) -> float:
    seconds = duration(text)
    if seconds < SHORTEST:
        raise argparse.ArgumentTypeError(f"{text!r} is too short: at least {SHORTEST:g} s")
    return seconds
