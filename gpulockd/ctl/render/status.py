"""The picture of a host: masthead, GPUs, queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import gpus, notes, waiting
from .look import Look
from .masthead import masthead
from .people import user_width
from .table import Row, draw, fit
from .text import Text

if TYPE_CHECKING:
    from gpulock.documents import RequestView, StatusDocument

    from .gpus import Cells, Place

WIDEST = 160
"""The eye does not follow longer lines."""
_SPACIOUS = 112
"""From this width on command and container have columns; below it, lines of their own."""
_FEW_GPUS = 8
"""Up to here a GPU may take several lines."""
_BAR, _LONG_BAR = 16, 24
_SHOWN_WAITERS = 12
_TROUBLE = ("sick", "quarantined", "leased elsewhere", "not granted")


def picture(status: StatusDocument, look: Look) -> list[Text]:
    width = min(look.width, WIDEST)
    return [*masthead(status, width), Text(), *tables(status, width), *_pointer(status, width)]


def tables(status: StatusDocument, width: int) -> list[Text]:
    """The GPUs, in the order in which they stand in `status`, and those who wait."""
    places, shown = list(gpus.places(status)), _shown(status["queue"])
    users = user_width([each["owner"] for each in [*status["locks"], *shown]])
    longest_bar = _LONG_BAR if width >= _SPACIOUS else _BAR
    several_models = len({gpu["name"] for gpu in status["gpus"]}) > 1
    spacious = width >= _SPACIOUS or len(status["gpus"]) > _FEW_GPUS

    def laid_out(row: Cells) -> Cells:
        blank = Text()
        row = row if several_models and spacious else row._replace(name=blank)
        return row if spacious else row._replace(command=blank, container=blank)

    gpu_cells = [laid_out(gpus.cells(place, users, longest_bar)) for place in places]
    wait_cells = [laid_out(waiting.cells(each, status["gpus"], users)) for each in shown]
    grid = fit(gpus.COLUMNS, [*gpu_cells, *wait_cells, *([waiting.TITLES] if shown else [])], width)

    room = width - grid.start(gpus.HOLDER)
    rows = [
        Row(gpus.with_bar(row, place.gpu, grid), _notes(place, room, spacious=spacious, name=several_models))
        for place, row in zip(places, gpu_cells, strict=True)
    ]
    lines = draw(gpus.COLUMNS, rows, grid, width, notes_under=gpus.HOLDER)
    if shown:
        wait_rows, wait_grid = waiting.below(wait_cells, grid)
        lines += [Text(), *draw(waiting.COLUMNS, wait_rows, wait_grid, width)]
    if rest := len(status["queue"]) - len(shown):
        lines.append(Text(f"and {rest} more: gpulockctl queue", "quiet"))
    return lines


def _shown(queue: list[RequestView]) -> list[RequestView]:
    """The first of a long queue; one more rather than the line that says that there is one more."""
    return queue if len(queue) <= _SHOWN_WAITERS + 1 else queue[:_SHOWN_WAITERS]


def _notes(place: Place, room: int, *, spacious: bool, name: bool) -> list[Text]:
    """What did not fit into the row, and what is wrong."""
    lines = [Text(gpus.model(place.gpu), "quiet")] if name and not spacious else []
    if place.lock is not None and place.leads:
        lines += [] if spacious else notes.of_owner(place.lock["owner"], room)
        lines += notes.of_lock(place.lock)
    return lines + notes.of_gpu(place.gpu)


def _pointer(status: StatusDocument, width: int) -> list[Text]:
    """Where to read on about a GPU in trouble."""
    troubled = next((gpu for gpu in status["gpus"] if gpus.standing(gpu).word in _TROUBLE), None)
    if troubled is None:
        return []
    todo = f"What stands in the way, and what to do: gpulockctl why {troubled['index']}"
    return [Text(), *Text(todo, "quiet").wrap(width)]
