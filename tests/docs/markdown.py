"""Markdown as its readers see it: fenced blocks and tables, with the lines they stand on."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]


class Block(NamedTuple):
    info: str
    """What stands behind the fence: the language, or what the block is."""
    content: str
    line: int


class Table(NamedTuple):
    header: list[str]
    rows: list[list[str]]
    line: int


def blocks(path: Path, info: str) -> list[Block]:
    """The fenced blocks of that kind."""
    tokens = MarkdownIt("commonmark").parse(path.read_text())
    found = [
        Block(token.info, token.content, token.map[0] + 1) for token in tokens if token.type == "fence" and token.map
    ]
    return [block for block in found if block.info == info]


def tables(path: Path) -> list[Table]:
    """Every table; cells as they are written."""
    found: list[Table] = []
    rows: list[list[str]] = []
    line = 0
    for token in MarkdownIt("commonmark").enable("table").parse(path.read_text()):
        if token.type == "table_open":
            rows, line = [], (token.map or [0])[0] + 1
        elif token.type == "tr_open":
            rows.append([])
        elif token.type == "inline" and token.level >= 3 and rows:
            rows[-1].append(token.content)
        elif token.type == "table_close":
            found.append(Table(rows[0], rows[1:], line))
            rows = []
    return found


def table(path: Path, first_column: str) -> Table:
    """The one table whose first column has that name."""
    (found,) = (each for each in tables(path) if each.header[0] == first_column)
    return found


def names(cell: str) -> list[str]:
    """The names in a cell that lists them as `a`, `b`."""
    return cell.split("`")[1::2]
