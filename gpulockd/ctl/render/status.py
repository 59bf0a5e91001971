"""The picture of a host: masthead, GPUs, queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import gpus, waiting
from .look import Look
from .masthead import masthead
from .people import user_width
from .table import draw, fit
from .text import Text

if TYPE_CHECKING:
    from gpulock.documents import GpuView, StatusDocument

_SPACIOUS = 112
"""From this width on command and container have columns; below it, lines of their own."""
_WIDEST = 160
"""The eye does not follow longer lines."""
_BAR, _LONG_BAR = 16, 24
_FEW_GPUS = 8
"""Up to here a GPU may take several lines."""
_SHOWN_WAITERS = 12

_TROUBLE = ("sick", "quarantined", "leased elsewhere", "not granted")


def picture(status: StatusDocument, look: Look) -> list[Text]:
    width = min(look.width, _WIDEST)
    spacious = width >= _SPACIOUS or len(status["gpus"]) > _FEW_GPUS
    shown = status["queue"] if len(status["queue"]) <= _SHOWN_WAITERS + 1 else status["queue"][:_SHOWN_WAITERS]
    users = user_width([each["owner"] for each in [*status["locks"], *shown]])
    gpu_cells = gpus.cells(status, users, _LONG_BAR if width >= _SPACIOUS else _BAR, spacious=spacious)
    wait_cells = [waiting.cells(each, status["gpus"], users, spacious=spacious) for each in shown]
    titles = [waiting.titles()] if shown else []
    grid = fit(gpus.COLUMNS, [*gpu_cells, *wait_cells, *titles], width)

    lines = [*masthead(status, width), Text()]
    rows = gpus.rows(
        status,
        gpus.with_bars(status, gpu_cells, grid),
        width - grid.start(gpus.HOLDER),
        details=not spacious,
        names=not spacious and len({gpu["name"] for gpu in status["gpus"]}) > 1,
    )
    lines += draw(gpus.COLUMNS, rows, grid, width, gpus.HOLDER)
    if shown:
        wait_rows, wait_grid = waiting.below(wait_cells, grid)
        lines += [Text(), *draw(waiting.COLUMNS, wait_rows, wait_grid, width)]
    if rest := len(status["queue"]) - len(shown):
        lines.append(Text(f"and {rest} more: gpulockctl queue", "quiet"))
    return lines + _pointer(status["gpus"], width)


def _pointer(shown: list[GpuView], width: int) -> list[Text]:
    """Where to read on about a GPU in trouble."""
    troubled = next((gpu for gpu in shown if gpus.standing(gpu).word in _TROUBLE), None)
    if troubled is None:
        return []
    todo = f"What stands in the way, and what to do: gpulockctl why {troubled['index']}"
    return [Text(), *Text(todo, "quiet").wrap(width)]
