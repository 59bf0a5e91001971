"""Locks that have ended and requests that got none, the latest first, and sums of them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from .amounts import brief, count, gib, percent
from .look import Look
from .people import short_uuid
from .table import Column, table
from .text import Style, Text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gpulock.documents import EndedView, HistoryDocument, TotalView, UnmetView

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
    Column("IDLE", align="right", drop=8),
    Column("PEAK", align="right", drop=9),
    Column("HOW", least=24, drop=1, filler=True),
)
_UNMET_COLUMNS = (
    Column("ENDED"),
    Column("REQUEST", drop=5),
    Column("GPUS", align="right", drop=6),
    Column("USER", most=12),
    Column("PID", align="right", drop=4),
    Column("COMMAND", least=16, most=60, drop=7),
    Column("TASK", least=6, most=20, drop=3),
    Column("WAITED", align="right"),
    Column("TIMES", align="right", drop=2),
    Column("WITHOUT A LOCK", least=14, drop=1, filler=True),
)
_TOTAL_COLUMNS = (
    Column("USER", most=16),
    Column("TASK", least=6, most=32, filler=True),
    Column("LOCKS", align="right"),
    Column("GPU TIME", align="right"),
    Column("IDLE", align="right", drop=3),
    Column("PEAK", align="right", drop=5),
    Column("MEAN HELD", align="right", drop=6),
    Column("MEAN WAIT", align="right", drop=4),
    Column("LOST", align="right", drop=2),
    Column("TIMED OUT", align="right", drop=1),
    Column("NO LOCK", align="right", drop=7),
)
_DAY = 86400


def picture(document: HistoryDocument, look: Look, indices: Mapping[str, int], now: float) -> list[Text]:
    """`indices` of the GPUs by UUID, `now` by the wall clock."""
    locks, requests = document["locks"], document.get("requests")
    if not locks and requests == []:
        return [_nothing()]
    lines = ends(locks, look.width, indices, now) if locks or not requests else []
    if requests:
        lines += [Text()] if lines else []
        lines += table(_UNMET_COLUMNS, [_unmet_cells(each, now) for each in requests], look.width)
    return lines


def _nothing() -> Text:
    return Text("Nothing has ended yet that matches.", "quiet")


def ends(locks: Sequence[EndedView], width: int, indices: Mapping[str, int], now: float) -> list[Text]:
    """The table of locks that have ended."""
    if not locks:
        return [Text("No lock has ended yet that matches.", "quiet")]
    return table(_COLUMNS, [_cells(lock, indices, now) for lock in locks], width)


def totals(document: HistoryDocument, look: Look) -> list[Text]:
    """By user and task, and all of them together."""
    rows = document.get("totals", [])
    if not rows:
        return [_nothing()]
    cells = [_total_cells(each, "") for each in rows]
    if len(rows) > 1:
        cells.append(_total_cells(_sum(rows), "strong"))
    return table(_TOTAL_COLUMNS, cells, look.width)


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
        Text(_idle(lock)),
        Text(_memory(lock.get("peak_memory"))),
        Text(lock["how"], "quiet" if lock["how"] == "released" else "warn") + _by(lock["by"]) + _met(lock),
    ]


def _unmet_cells(unmet: UnmetView, now: float) -> list[Text]:
    return [
        Text(clock(unmet["ended_at"], now)),
        Text(unmet["request"]),
        Text(str(unmet["wanted"])),
        Text(unmet["user"] or str(unmet["uid"]), "strong"),
        Text(str(unmet["pid"])),
        Text(unmet["command"], "quiet"),
        Text(unmet["task"]),
        Text(brief(unmet["waited"])),
        Text(f"{unmet['times']}×" if unmet["times"] > 1 else ""),
        Text(unmet["how"], "warn" if unmet["how"] in ("timeout", "deadlock") else "quiet"),
    ]


def _total_cells(total: TotalView, style: Style) -> list[Text]:
    asked, locks = total["locks"] + total["unmet"], total["locks"]
    return [
        Text(total["user"], style or "strong"),
        Text(total["task"], style),
        Text(str(locks), style),
        Text(brief(total["gpu_time"]), style),
        Text(_idle(total), style),
        Text(_memory(total["peak_memory"]), style),
        Text(brief(total["held"] / locks) if locks else "", style),
        Text(brief(total["waited"] / locks) if locks else "", style),
        Text(str(total["lost"]) if total["lost"] else "", style or "warn"),
        Text(f"{total['timeouts']} ({percent(total['timeouts'] / asked)})" if total["timeouts"] else "", style),
        Text(str(total["unmet"]) if total["unmet"] else "", style),
    ]


def _sum(totals: Sequence[TotalView]) -> TotalView:
    peaks = [total["peak_memory"] for total in totals if total["peak_memory"] is not None]
    return {
        "user": "all",
        "task": "",
        "locks": sum(total["locks"] for total in totals),
        "held": sum(total["held"] for total in totals),
        "gpu_time": sum(total["gpu_time"] for total in totals),
        "waited": sum(total["waited"] for total in totals),
        "watched": sum(total["watched"] for total in totals),
        "idle": sum(total["idle"] for total in totals),
        "peak_memory": max(peaks, default=None),
        "lost": sum(total["lost"] for total in totals),
        "unmet": sum(total["unmet"] for total in totals),
        "timeouts": sum(total["timeouts"] for total in totals),
    }


def _idle(past: EndedView | TotalView) -> str:
    """Of the time for which the driver told the load; an older daemon does not know any."""
    watched = past.get("watched", 0.0)
    return percent(past.get("idle", 0.0) / watched) if watched else ""


def _memory(size: int | None) -> str:
    return "" if size is None else f"{gib(size)} GiB"


def _met(lock: EndedView) -> Text:
    strangers = len(lock.get("strangers", ()))
    return Text(f", met {count(strangers, 'stranger')}" if strangers else "", "warn")


def _by(who: str) -> Text:
    return Text(f" by {who}" if who else "", "quiet")


def _numbers_first(name: str) -> tuple[int, str]:
    return (int(name), "") if name.isdecimal() else (1 << 31, name)
