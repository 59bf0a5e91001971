"""`gpulockctl revoke`: takes a lock back by force. Its holder is told, then ended."""

from __future__ import annotations

import argparse

from gpulock.durations import format_duration

from ..arguments import SUBJECT, duration, subject
from ..context import Context
from ..render.text import Text


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("subject", metavar="SUBJECT", type=subject, help=SUBJECT)
    parser.add_argument("--reason", metavar="TEXT", default="", help="the holder is told, and it is recorded")
    parser.add_argument(
        "--grace",
        metavar="TIME",
        type=duration,
        help="between telling the holder and SIGTERM: 30s, 5m (the daemon's revoke_grace)",
    )


def run(context: Context, arguments: argparse.Namespace) -> int:
    params = {"subject": arguments.subject, "reason": arguments.reason}
    if arguments.grace is not None:
        params["grace"] = arguments.grace
    answer = context.ask("revoke", **params)
    context.answer(answer, lambda _: [_told(answer)])
    return 0


def _told(answer: dict[str, object]) -> Text:
    who = f"{answer['lock']}: pid {answer['pid']}"
    deadline = answer["deadline"]
    assert isinstance(deadline, (int, float))
    return {
        "recalled": Text(f"{who} is told to let go; SIGTERM in {format_duration(deadline)}"),
        "terminating": Text(f"{who} was sent SIGTERM before; SIGKILL in {format_duration(deadline)}"),
        "killing": Text(f"{who} was sent SIGKILL before; waiting for its end"),
        "cleared": Text(f"{who} counts as ended, at your word: its GPU is free"),
    }.get(str(answer["state"]), Text(f"{who}: {answer['state']}"))
