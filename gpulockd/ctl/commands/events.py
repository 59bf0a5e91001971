"""`gpulockctl events`: what happens, a line each, until it is interrupted."""

from __future__ import annotations

import argparse
import fnmatch

from ..arguments import positive
from ..context import Context
from ..render.happening import line


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--kind", metavar="GLOB", default="*", help="only events of this kind, such as 'lock.*' or gpu.quarantined"
    )
    parser.add_argument("--count", metavar="N", type=positive, help="leave after so many")


def run(context: Context, arguments: argparse.Namespace) -> int:
    shown = 0
    with context.client() as client:
        for event in client.watch():
            if event is None or not fnmatch.fnmatchcase(event["kind"], arguments.kind):
                continue
            if context.as_json:
                context.emit(event, one_line=True)
            else:
                context.show([line(event)])
            shown += 1
            if shown == arguments.count:
                break
    return 0
