"""`gpulockctl history`: locks that have ended, the latest first."""

from __future__ import annotations

import argparse
import time

from ..arguments import positive
from ..context import Context
from ..render.history import picture


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--gpu", metavar="GPU", help="index, UUID or its beginning")
    parser.add_argument("--user", metavar="NAME")
    parser.add_argument("--task", metavar="NAME")
    parser.add_argument("--limit", "-n", metavar="N", type=positive, default=20, help="the last N locks (20)")


def run(context: Context, arguments: argparse.Namespace) -> int:
    filters = {name: getattr(arguments, name) for name in ("gpu", "user", "task")}
    wanted = {name: value for name, value in filters.items() if value is not None}
    with context.client() as client:
        document = client.call("history", limit=arguments.limit, **wanted)
        indices = {}
        if not context.as_json:  # people know a GPU by its index
            indices = {gpu["uuid"]: gpu["index"] for gpu in client.call("status")["gpus"]}
    context.answer(document, lambda look: picture(document, look, indices, time.time()))
    return 0
