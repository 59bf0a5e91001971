"""Locks that have ended, the latest first."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from .amounts import brief
from .look import Look
from .people import short_uuid
from .table import Column, table
from .text import Text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpulock.documents import EndedView, HistoryDocument

_COLUMNS = (
    Column("ENDED"),
    Column("LOCK", drop=5),
    Column("GPU", least=4, most=24),
    Column("USER", most=12),
    Column("PID", align="right", drop=4),
    Column("COMMAND", least=16, most=60, drop=7),
    Column("TASK", least=6, most=20, drop=3),
    Column("WAITED", align="right", drop=6),
    Column("HELD", align="right"),
    Column("HOW", least=24, drop=1, filler=True),
)
_DAY = 86400


def picture(document: HistoryDocument, look: Look, indices: Mapping[str, int], now: float) -> list[Text]:
    """`indices` of the GPUs by UUID, `now` by the wall clock."""
    if not document["locks"]:
        return [Text("No lock has ended yet that matches.", "quiet")]
    return table(_COLUMNS, [_cells(lock, indices, now) for lock in document["locks"]], look.width)


def clock(moment: float, now: float) -> str:
    """A local time of day; with its date where that is not today's."""
    then, today = time.localtime(moment), time.localtime(now)
    same_day = then[:3] == today[:3]
    return time.strftime(
        "%H:%M:%S" if same_day else "%Y-%m-%d %H:%M" if abs(now - moment) > 300 * _DAY else "%b %d %H:%M", then
    )


def _cells(lock: EndedView, indices: Mapping[str, int], now: float) -> list[Text]:
    names = sorted(
        (str(indices[uuid]) if uuid in indices else short_uuid(uuid) for uuid in lock["gpus"]), key=_numbers_first
    )
    return [
        Text(clock(lock["ended_at"], now)),
        Text(lock["lock"]),
        Text(", ".join(names)),
        Text(lock["user"] or str(lock["uid"]), "strong"),
        Text(str(lock["pid"])),
        Text(lock["command"], "quiet"),
        Text(lock["task"]),
        Text(brief(lock["waited"])),
        Text(brief(lock["held"])),
        Text(lock["how"], "quiet" if lock["how"] == "released" else "warn") + _by(lock["by"]),
    ]


def _by(who: str) -> Text:
    return Text(f" by {who}" if who else "", "quiet")


def _numbers_first(name: str) -> tuple[int, str]:
    return (int(name), "") if name.isdecimal() else (1 << 31, name)
