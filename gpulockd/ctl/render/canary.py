"""The canary that runs, or the last that did: its share, and what came of both sides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .amounts import brief
from .look import Look
from .table import Column, table
from .text import Style, Text

if TYPE_CHECKING:
    from gpulock.configuration import CanaryDocument, CanaryView, OutcomesView

_COLUMNS = (
    Column("VARIANT"),
    *(Column(title, align="right") for title in ("GRANTED", "TIMED OUT", "FAILED")),
    Column("NOT GRANTED", align="right"),
)
_COURSES: dict[str, Style] = {"running": "warn", "promoted": "good", "rolled-back": "bad"}


def picture(document: CanaryDocument, look: Look) -> list[Text]:
    canary = document["canary"]
    if canary is None:
        return [Text("There has been no canary.", "quiet")]
    rows = [_cells(variant, outcomes) for variant, outcomes in canary["outcomes"].items()]
    return [_headline(canary), *_notes(canary), Text(), *table(_COLUMNS, rows, look.width), *_next(canary)]


def _headline(canary: CanaryView) -> Text:
    course = canary["course"]
    share = f" at {canary['percent']:g} % of the sessions" if course == "running" else ""
    left = "" if canary["time_left"] is None else f", for another {brief(canary['time_left'])}"
    return Text(f"Canary {canary['id']} is {course}{share}{left}", _COURSES.get(course, "strong"))


def _notes(canary: CanaryView) -> list[Text]:
    notes = [Text(f"By {canary['by']}{': ' + canary['reason'] if canary['reason'] else ''}", "quiet")]
    if canary["why"]:
        notes.append(Text(f"Taken back by itself: {canary['why']}", "bad"))
    return notes


def _cells(variant: str, outcomes: OutcomesView) -> list[Text]:
    failed = outcomes["timed_out"] + outcomes["failed"]
    total = outcomes["granted"] + failed
    return [
        Text(variant, "strong"),
        Text(str(outcomes["granted"])),
        Text(str(outcomes["timed_out"])),
        Text(str(outcomes["failed"])),
        Text(f"{failed / total:.1%}" if total else "-"),
    ]


def _next(canary: CanaryView) -> list[Text]:
    if canary["course"] != "running":
        return []
    most = canary["thresholds"]
    return [
        Text(
            f"Taken back if more than {most['timeouts']:.0%} of the candidate's time out, {most['failures']:.0%} fail,"
            f" or Redis takes {most['redis_cpu']:.0%} of a processor (from {most['min_requests']} requests on)",
            "quiet",
        ),
        Text("Next: gpulockctl config canary --percent 50, config promote, config abort", "quiet"),
    ]
