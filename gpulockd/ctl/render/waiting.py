"""Those who wait, as rows under the GPUs: place, wish, and for how long."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .amounts import brief, count
from .gpus import BAR, COLUMNS as GPU_COLUMNS, HOLDER, UTIL, Cells
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
TITLES = Cells(number=Text("#"), memory=Text("WANTS"), holder=Text("WAITING"), passed=Text("WAITED"))
"""As cells, so that the GPUs' columns become wide enough for these titles, too."""


def wish(request: RequestView, gpus: Sequence[GpuView] = ()) -> str:
    """`2 GPUs`, or `GPU 0, 3` where it asks for these. Indices are known for `gpus`."""
    if not request["selectors"]:
        return count(request["count"], "GPU")
    index = {gpu["uuid"]: str(gpu["index"]) for gpu in gpus}
    names = [index.get(each, each) for each in request["selectors"]]
    if all(name.isdecimal() for name in names):
        return f"GPU {', '.join(names)}"
    return ", ".join(f"GPU {name}" if name.isdecimal() else short_uuid(name) for name in names)


def cells(request: RequestView, gpus: Sequence[GpuView], users: int) -> Cells:
    """A row under the columns of the GPUs; the wish stands in the place of the bar."""
    return Cells(
        number=Text(str(request["position"]), "strong"),
        memory=Text(wish(request, gpus)),
        holder=holder(request["owner"], users),
        command=Text(request["owner"]["command"], "quiet"),
        container=Text(request["owner"]["container"], "quiet"),
        task=Text(request["task"]),
        passed=Text(brief(request["waited"])),
        left=Text(brief(request["time_left"])),
    )


def below(rows: Sequence[Cells], grid: Grid) -> tuple[list[Row], Grid]:
    """The rows for `COLUMNS`, and widths that put them exactly under the columns of the GPUs.

    The wish has the room of bar, memory and utilization together.
    """
    widths = (grid.widths[0], grid.span(BAR, UTIL), *grid.widths[HOLDER:])
    return [Row((row.number, row.memory, *row[HOLDER:])) for row in rows], Grid(widths)
