"""Who waits: place, wish, and for how long."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .amounts import brief, count
from .gpus import BAR, COLUMNS as GPU_COLUMNS, HOLDER, UTIL
from .people import holder, short_uuid
from .table import Column, Grid, Row
from .text import Text

if TYPE_CHECKING:
    from gpulock.documents import GpuView, RequestView

COLUMNS = (
    Column("#", align="right"),
    Column("WANTS"),
    Column("WAITING"),
    *GPU_COLUMNS[HOLDER + 1 : -2],
    Column("WAITED", align="right"),
    Column("LEFT", align="right"),
)


def wish(request: RequestView, gpus: list[GpuView]) -> str:
    """`2 GPUs`, or `GPU 0, 3` where it asks for these."""
    if not request["selectors"]:
        return count(request["count"], "GPU")
    index = {gpu["uuid"]: str(gpu["index"]) for gpu in gpus}
    names = [index.get(each, each) for each in request["selectors"]]
    if all(name.isdecimal() for name in names):
        return f"GPU {', '.join(names)}"
    return ", ".join(f"GPU {name}" if name.isdecimal() else short_uuid(name) for name in names)


def cells(request: RequestView, gpus: list[GpuView], users: int, *, spacious: bool) -> list[Text]:
    """A row under the columns of the GPUs, the wish in place of bar, memory and utilization."""
    row = [Text() for _ in GPU_COLUMNS]
    row[0] = Text(str(request["position"]), "strong")
    row[BAR] = Text(wish(request, gpus))
    row[HOLDER] = holder(request["owner"], users)
    if spacious:
        row[HOLDER + 1] = Text(request["owner"]["command"], "quiet")
        row[HOLDER + 2] = Text(request["owner"]["container"], "quiet")
    row[-3:] = [Text(request["task"]), Text(brief(request["waited"])), Text(brief(request["time_left"]))]
    return row


def titles() -> list[Text]:
    """The titles as a row of cells, so that the columns become wide enough for them, too."""
    row = [Text() for _ in GPU_COLUMNS]
    row[HOLDER], row[-2] = Text("WAITING"), Text("WAITED")
    return row


def below(gpu_rows: list[list[Text]], grid: Grid) -> tuple[list[Row], Grid]:
    """The rows for `COLUMNS`, and widths that put them exactly under the columns of the GPUs."""
    widths = (grid.widths[0], grid.span(BAR, UTIL), *grid.widths[HOLDER:])
    return [Row([row[0], row[BAR], *row[HOLDER:]]) for row in gpu_rows], Grid(widths)
