"""Aligned columns that fit a width: the least important ones go first, long ones are cut."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .text import Align, Text

GAP = 2


class Column(NamedTuple):
    title: str = ""
    align: Align = "left"
    least: int | None = None
    """The narrowest it may get; None: as wide as its widest cell, or not at all."""
    most: int | None = None
    drop: int = 0
    """Where space is short the column with the highest number goes first; 0 stays."""
    filler: bool = False
    """Takes whatever the others leave over, so that the table reaches the right edge."""


class Row(NamedTuple):
    cells: Sequence[Text]
    notes: Sequence[Text] = ()
    """Below the row, wrapped between the table's `notes_under` column and the right edge."""


class Grid(NamedTuple):
    """The width of each column; None: it is left out."""

    widths: tuple[int | None, ...]

    def start(self, index: int) -> int:
        """The terminal column at which table column `index` begins."""
        return sum(width + GAP for width in self.widths[:index] if width is not None)

    def span(self, first: int, last: int) -> int | None:
        """The width of columns `first` to `last` taken as one; None: all of them are left out."""
        widths = [width for width in self.widths[first : last + 1] if width is not None]
        return sum(widths) + GAP * (len(widths) - 1) if widths else None


def fit(columns: Sequence[Column], rows: Sequence[Sequence[Text]], width: int) -> Grid:
    """Widths for `columns` that make a table of at most `width`. A column without content is left out."""
    wanted = [_wanted(column, [row[place] for row in rows]) for place, column in enumerate(columns)]
    least = [
        None if most is None else most if column.least is None else min(most, max(column.least, len(column.title)))
        for column, most in zip(columns, wanted, strict=True)
    ]
    while _total(least) > width:
        droppable = [place for place, each in enumerate(least) if each is not None and columns[place].drop]
        if not droppable:
            return _squeezed(least, width)
        least[max(droppable, key=lambda place: columns[place].drop)] = None
    return Grid(tuple(_grown(columns, least, wanted, width - _total(least))))


def draw(columns: Sequence[Column], rows: Sequence[Row], grid: Grid, width: int, notes_under: int = 0) -> list[Text]:
    """The table's lines, its titles first where it has any."""
    lines = []
    if any(column.title for column in columns):
        lines.append(_line(columns, [Text(column.title, "quiet") for column in columns], grid))
    indent = grid.start(notes_under)
    for row in rows:
        lines.append(_line(columns, row.cells, grid))
        lines += [Text(" " * indent) + line for note in row.notes for line in note.wrap(width - indent)]
    return lines


def table(columns: Sequence[Column], rows: Sequence[Sequence[Text]], width: int) -> list[Text]:
    """`draw` for a table of its own."""
    return draw(columns, [Row(row) for row in rows], fit(columns, rows, width), width)


def _line(columns: Sequence[Column], cells: Sequence[Text], grid: Grid) -> Text:
    line = Text()
    first = True
    for column, cell, width in zip(columns, cells, grid.widths, strict=True):
        if width is not None:
            line = line + cell.fill(width, column.align) if first else line + " " * GAP + cell.fill(width, column.align)
            first = False
    return line


def _wanted(column: Column, cells: Sequence[Text]) -> int | None:
    widest = max((cell.width for cell in cells), default=0)
    if not widest:
        return None
    widest = max(widest, len(column.title))
    return widest if column.most is None else min(widest, max(column.most, len(column.title)))


def _total(widths: Sequence[int | None]) -> int:
    shown = [width for width in widths if width is not None]
    return sum(shown) + GAP * max(0, len(shown) - 1)


def _grown(
    columns: Sequence[Column], least: Sequence[int | None], wanted: Sequence[int | None], spare: int
) -> list[int | None]:
    """`least` with `spare` handed out: first to the columns that would be dropped last."""
    widths = list(least)
    for place in sorted(range(len(columns)), key=lambda each: columns[each].drop):
        width, most = widths[place], wanted[place]
        if width is not None and most is not None:
            given = min(spare, most - width)
            widths[place] = width + given
            spare -= given
    for place, column in enumerate(columns):
        if column.filler and (width := widths[place]) is not None:
            widths[place] = width + spare
            break
    return widths


def _squeezed(least: Sequence[int | None], width: int) -> Grid:
    """Widths for less room than the columns need: the widest ones give."""
    widths = list(least)
    while _total(widths) > width:
        place = max(range(len(widths)), key=lambda each: widths[each] or 0)
        narrower = (widths[place] or 0) - 1
        if narrower < 1:
            break
        widths[place] = narrower
    return Grid(tuple(widths))
