"""The whole queue, first to last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .amounts import brief, count
from .look import Look
from .people import holder, user_width
from .table import Column, table
from .text import Text
from .waiting import wish

if TYPE_CHECKING:
    from gpulock.documents import QueueDocument, RequestView

_COLUMNS = (
    Column("#", align="right"),
    Column("REQUEST", drop=4),
    Column("WANTS", least=12, most=24, drop=3),
    Column("WAITING"),
    Column("COMMAND", least=16, most=72, drop=6),
    Column("CONTAINER", least=12, most=24, drop=8),
    Column("TASK", least=6, most=20, drop=2, filler=True),
    Column("PRIORITY", align="right", drop=7),
    Column("OVERTAKEN", align="right", drop=5),
    Column("WAITED", align="right"),
    Column("LEFT", align="right", drop=1),
)


def picture(document: QueueDocument, look: Look) -> list[Text]:
    queue = document["queue"]
    if not queue:
        return [Text("Nobody waits.", "quiet")]
    users = user_width([request["owner"] for request in queue])
    longest = max(request["waited"] for request in queue)
    head = Text(f"{count(len(queue), 'request')}, the longest for {brief(longest)}", "strong")
    return [head.cut(look.width), Text(), *table(_COLUMNS, [_cells(request, users) for request in queue], look.width)]


def _cells(request: RequestView, users: int) -> list[Text]:
    return [
        Text(str(request["position"]), "strong"),
        Text(request["id"]),
        Text(wish(request)),
        holder(request["owner"], users),
        Text(request["owner"]["command"], "quiet"),
        Text(request["owner"]["container"], "quiet"),
        Text(request["task"]),
        Text(f"{request['priority']:+d}" if request["priority"] else ""),
        Text(f"{request['overtaken']}×" if request["overtaken"] else "", "warn"),
        Text(brief(request["waited"])),
        Text(brief(request["time_left"])),
    ]
