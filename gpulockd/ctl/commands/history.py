"""`gpulockctl history`: locks that have ended and requests that got none, the latest first, or sums of them."""

from __future__ import annotations

import argparse
import time

from ..arguments import positive
from ..context import Context
from ..moments import EXPECTED, ago
from ..render import history


def configure(parser: argparse.ArgumentParser) -> None:
    now = time.time()
    parser.add_argument("--gpu", metavar="GPU", help="index, UUID or its beginning")
    parser.add_argument("--user", metavar="NAME")
    parser.add_argument("--task", metavar="NAME")
    parser.add_argument("--how", metavar="WORD", help="how it ended, such as released, died, max-hold; timeout, busy")
    parser.add_argument("--since", metavar="WHEN", type=lambda text: ago(text, now), help=f"ended since: {EXPECTED}")
    parser.add_argument("--until", metavar="WHEN", type=lambda text: ago(text, now), help="ended before")
    parser.add_argument("--limit", "-n", metavar="N", type=positive, default=20, help="the last N of each (20)")
    parser.add_argument("--requests", action="store_true", help="those that ended without a lock, too")
    parser.add_argument("--totals", action="store_true", help="sums by user and task, of all that is kept")


def run(context: Context, arguments: argparse.Namespace) -> int:
    asked = ("gpu", "user", "task", "how", "since", "until")
    wanted = {name: value for name in asked if (value := getattr(arguments, name)) is not None}
    if arguments.requests or (arguments.how and not arguments.totals):  # `--how timeout` means no lock
        wanted["requests"] = True
    if arguments.totals:
        wanted["totals"] = True
    with context.client() as client:
        document = client.call("history", limit=arguments.limit, **wanted)
        indices = {}
        if not context.as_json and not arguments.totals:  # people know a GPU by its index
            indices = {gpu["uuid"]: gpu["index"] for gpu in client.call("status")["gpus"]}
    if arguments.totals:
        context.answer(document, lambda look: history.totals(document, look))
    else:
        context.answer(document, lambda look: history.picture(document, look, indices, time.time()))
    return 0
