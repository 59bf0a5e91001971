"""`gpulockctl events`: what happens, a line each, until it is interrupted."""

from __future__ import annotations

import argparse
import fnmatch

from ..context import Context
from ..render.happening import line


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--kind", metavar="GLOB", default="*", help="only events of this kind, such as 'lock.*' or gpu.quarantined"
    )
    parser.add_argument("--count", metavar="N", type=int, help="leave after so many")


def run(context: Context, arguments: argparse.Namespace) -> int:
    left = arguments.count
    with context.connect() as connection:
        connection.call("watch")
        while left is None or left > 0:
            for event in connection.events(within=None):
                if not fnmatch.fnmatchcase(event["kind"], arguments.kind):
                    continue
                if context.as_json:
                    context.emit(event, one_line=True)
                else:
                    context.show([line(event)])
                if left is not None and (left := left - 1) <= 0:
                    break
    return 0
