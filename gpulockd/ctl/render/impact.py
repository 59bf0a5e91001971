"""What a change moved: each measure before and after, and the advice."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from .amounts import brief, count
from .look import Look
from .table import Column, table
from .text import Style, Text

if TYPE_CHECKING:
    from ...evidence.impact import Impact, Moved

_COLUMNS = (
    Column(""),
    Column("BEFORE", "right"),
    Column("AFTER", "right"),
    Column("CHANGE", "right"),
    Column("95 %", "right", drop=1),
    Column("P", "right", drop=2),
    Column(""),
)
_ADVICE: Mapping[str, Style] = {"keep": "good", "roll back": "bad", "undecided": "warn"}
_LENGTHS = {86_400.0: "a day", 21_600.0: "six hours", 3_600.0: "an hour"}
_FROM = "%Y-%m-%d %H:%M"


def picture(found: Impact, look: Look) -> list[Text]:
    clock = time.strftime(_FROM, time.localtime(found.at))
    head = (
        f"The change at {clock}: {count(found.locks_before, 'lock')} in the {brief(found.at - found.since)} before it, "
        f"{count(found.locks_after, 'lock')} in the {brief(found.until - found.at)} after it."
    )
    method = (
        f"Compared by {found.blocks_before} and {found.blocks_after} blocks of {_LENGTHS[found.block]}, "
        "workdays and weekends apart; a permutation test, its p corrected for all measures (Holm); 95 % confidence."
    )
    advice = Text(found.advice, _ADVICE[found.advice]) + f": {found.why}"
    return [
        *Text(head).wrap(look.width),
        *table(_COLUMNS, [_cells(each) for each in found.moved], look.width),
        *Text(method, "quiet").wrap(look.width),
        *advice.wrap(look.width),
    ]


def _cells(moved: Moved) -> list[Text]:
    change = moved.change
    said: Style = "" if moved.direction == "not more than noise" else "strong"
    return [
        Text(moved.name),
        Text(_amount(moved.before, moved.unit)),
        Text(_amount(moved.after, moved.unit)),
        Text("" if change is None else f"{change.value - 1:+.0%}", said),
        Text("" if change is None else f"{change.low - 1:+.0%} to {change.high - 1:+.0%}"),
        Text("<0.001" if moved.p < 0.001 else f"{moved.p:.3f}"),
        Text(moved.direction, said or "quiet"),
    ]


def _amount(value: float, unit: str) -> str:
    return f"{value:.1%}" if unit == "of all requests" else f"{value:.1f} s" if unit == "s" else f"{value:.1f}/h"
