"""Columns that fit."""

from __future__ import annotations

import pytest

from gpulockd.ctl.render.table import Column, Row, draw, fit, table
from gpulockd.ctl.render.text import Text

COLUMNS = (
    Column("ID", align="right"),
    Column("NAME", least=4, most=10, drop=1),
    Column("NOTE", least=6, drop=2),
    Column("EMPTY"),
)


def row(name: str, note: str = "") -> list[Text]:
    return [Text("7"), Text(name), Text(note), Text()]


def plain(lines: list[Text]) -> list[str]:
    return [line.plain.rstrip() for line in lines]


def test_a_column_without_content_is_left_out() -> None:
    assert plain(table(COLUMNS, [row("anna")], 80)) == ["ID  NAME", " 7  anna"]


def test_a_long_cell_is_cut_at_the_most_its_column_may_have() -> None:
    assert plain(table(COLUMNS, [row("maximiliane")], 80)) == ["ID  NAME", " 7  maximilia…"]


def test_narrower_cuts_then_drops_the_least_important() -> None:
    rows = [row("maximilian", "a long note")]
    assert plain(table(COLUMNS, rows, 27))[1] == " 7  maximilian  a long note"
    assert plain(table(COLUMNS, rows, 24))[1] == " 7  maximilian  a long …"
    assert plain(table(COLUMNS, rows, 19))[1] == " 7  maximi…  a lon…"
    assert plain(table(COLUMNS, rows, 15))[1] == " 7  maximilian"
    assert plain(table(COLUMNS, rows, 6))[1] == " 7"


@pytest.mark.parametrize("width", range(1, 60))
def test_it_fits_whatever_the_width(width: int) -> None:
    for line in table(COLUMNS, [row("maximilian", "a long note")], width):
        assert line.width <= max(width, 1)


def test_what_cannot_be_dropped_is_squeezed() -> None:
    columns = (Column("A"), Column("B"))
    lines = table(columns, [[Text("short"), Text("quite a long one")]], 12)
    assert plain(lines) == ["A      B", "short  quit…"]


def test_a_filler_takes_the_table_to_the_right_edge() -> None:
    columns = (Column("A"), Column("B", filler=True), Column("C", align="right"))
    lines = table(columns, [[Text("a"), Text("b"), Text("c")]], 20)
    assert [line.width for line in lines] == [20, 20]


def test_notes_stand_under_their_column_and_wrap() -> None:
    columns = (Column("A"), Column("B"))
    rows = [Row([Text("a"), Text("b")], notes=[Text("one two three")])]
    grid = fit(columns, [each.cells for each in rows], 12)
    assert plain(draw(columns, rows, grid, 12, notes_under=1)) == ["A  B", "a  b", "   one two", "   three"]


def test_a_grid_knows_where_columns_are() -> None:
    grid = fit(COLUMNS, [row("anna", "note")], 80)
    assert grid.widths == (2, 4, 4, None)
    assert [grid.start(index) for index in range(4)] == [0, 4, 10, 16]
    assert grid.span(1, 2) == 10
    assert grid.span(3, 3) is None


def test_a_table_without_titles_has_no_title_line() -> None:
    assert plain(table((Column(), Column()), [[Text("a"), Text("b")]], 20)) == ["a  b"]
