"""`gpulockctl config impact`: what a change moved, by recorded history before it and after it.

Exits with 0 where the change should be kept, and with 1 where it should be rolled back or nothing can be said.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpulock.errors import InvalidRequest, UnknownMethod

from ..arguments import duration
from ..context import Context
from ..moments import ago
from ..render.impact import picture
from . import story

if TYPE_CHECKING:
    import gpulock

    from ...evidence.recorded import Recorded

    Actions = argparse._SubParsersAction[argparse.ArgumentParser]

NOT_KEPT = 1
PAGE = 10_000
"""So many locks a daemon tells at once at most."""
_PAGES = 20
_OVERLAP = 0.01
"""Seconds that two pages share, so that none is lost between them; each is counted once."""
_WEEK = 7 * 86_400.0


def configure(actions: Actions) -> None:
    impact = actions.add_parser("impact", help="what a change moved: history before it and after it; keep or roll back")
    impact.add_argument("--before", metavar="TIME", type=duration, default=_WEEK, help="how long before it (7d)")
    impact.add_argument("--after", metavar="TIME", type=duration, default=_WEEK, help="how long after it (7d)")
    impact.add_argument(
        "--at",
        metavar="WHEN",
        type=moment,
        help="when it was: 2026-11-20T14:00, or 3d for three days ago (by default the last change of the settings)",
    )
    impact.add_argument("--from", metavar="FILE", dest="file", help="what `history --json` wrote, in place of a daemon")
    impact.set_defaults(perform=_impact)


def moment(text: str) -> float:
    """Seconds since 1970."""
    now = time.time()
    return now - ago(text, now)


def _impact(context: Context, arguments: argparse.Namespace) -> int:
    from ...evidence.impact import TooLittle, compare

    at = arguments.at if arguments.at is not None else _last_change(context, arguments.file)
    now = time.time()
    history = recorded(context, arguments.file, now - at + arguments.before)
    if arguments.file:  # it was written at some moment, and goes no further
        now = max((each.ended_at for each in history.records), default=at)
    offset = time.localtime(at).tm_gmtoff
    try:
        found = compare(history, at, before=arguments.before, after=arguments.after, now=now, utc_offset=offset)
    except TooLittle as error:
        document: dict[str, Any] = {"at": at, "advice": "undecided", "why": str(error), "moved": []}
        if context.as_json:
            context.emit(document)
        else:
            print(f"gpulockctl config impact: {error}", file=sys.stderr)
        return NOT_KEPT
    context.answer(_document(found), lambda look: picture(found, look))
    return 0 if found.advice == "keep" else NOT_KEPT


def recorded(context: Context, file: str | None, since: float) -> Recorded:
    """History from `since` seconds ago on. Raises `GpulockError`: `InvalidRequest` for a file that has none."""
    from ...evidence.recorded import BadHistory, read

    if file is not None:
        try:
            return read([json.loads(sys.stdin.read() if file == "-" else Path(file).read_text())])
        except OSError as error:
            raise InvalidRequest(f"{file} cannot be read: {error.strerror or error}") from None
        except (BadHistory, ValueError, RecursionError) as error:
            hint = "write it with: gpulockctl history --requests --limit 10000 --json"
            raise InvalidRequest(f"{file} holds no history: {error}", hint=hint) from None
    with context.client() as client:
        return read(_pages(client, since))


def _pages(client: gpulock.Client, since: float) -> list[Mapping[str, Any]]:
    """Answers, the latest first, until one is not full. An older daemon tells of its last locks only, in one."""
    pages: list[Mapping[str, Any]] = []
    until: dict[str, float] = {}
    try:
        while len(pages) < _PAGES:
            pages.append(client.call("history", limit=PAGE, requests=True, since=since, **until))
            ends = [lock["ended_at"] for lock in pages[-1]["locks"]]
            if len(ends) < PAGE:
                break
            until["until"] = max(0.0, time.time() - min(ends) - _OVERLAP)
    except InvalidRequest:
        return [client.call("history", limit=PAGE)]
    return pages


def _last_change(context: Context, file: str | None) -> float:
    """When the daemon last applied other settings. Raises `GpulockError`."""
    hint = "say when the change was: --at 2026-11-20T14:00, or --at 3d"
    if file is not None:
        raise InvalidRequest("a file does not say when the settings were changed", hint=hint)
    try:
        with context.client() as client:
            for entry in story.entries(client):
                if entry["outcome"] == "applied" and entry["changes"]:
                    return float(entry["at"])
    except UnknownMethod:
        raise InvalidRequest("the daemon does not record when its settings change", hint=hint) from None
    raise InvalidRequest("the settings have not changed yet, as far as the daemon knows", hint=hint)


def _document(found: Any) -> dict[str, Any]:
    moved = [{**dataclasses.asdict(each), "direction": each.direction} for each in found.moved]
    for each in moved:
        each["change"] = each["change"] and each["change"]._asdict()
    return {**dataclasses.asdict(found), "moved": moved}
