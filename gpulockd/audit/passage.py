"""A stretch of running text, a paragraph, heading or cell, whose every character knows where in the file it stands."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

from .source import Source

Kind = Literal["paragraph", "heading", "cell"]
_BAR = re.compile(r"(\\?)\|")


class Span(NamedTuple):
    """A part of a passage, by offsets into its `content`; `text` is what it says without its marks."""

    start: int
    end: int
    text: str


class Link(NamedTuple):
    start: int
    end: int
    target: str
    """As markdown-it has it: percent-encoded."""
    written: Span | None
    """The target as it stands in the passage; None where a reference is defined elsewhere."""
    image: bool = False


class Piece(NamedTuple):
    """From `at` of the content on, the file has the same characters from `offset` on."""

    at: int
    offset: int


@dataclass(frozen=True)
class Passage:
    source: Source
    kind: Kind
    content: str
    """With its marks (`**`, backticks, brackets), without the prefixes of its lines (`> `, indentation)."""
    pieces: Sequence[Piece]
    codes: Sequence[Span] = ()
    links: Sequence[Link] = ()
    comments: Sequence[Span] = ()
    section: tuple[str, ...] = ()

    def offset(self, index: int) -> int:
        """Where in the file the character at `index` stands."""
        piece = self.pieces[max(0, bisect_right(self.pieces, (index, float("inf"))) - 1)]
        return piece.offset + index - piece.at

    @cached_property
    def prose(self) -> str:
        """The content with code, link targets and comments blanked, character for character."""
        if not (self.codes or self.links or self.comments):
            return self.content
        parts, at = [], 0
        for start, end in sorted(self._silent()):
            if end > at:
                parts += [self.content[at : max(at, start)], " " * (end - max(at, start))]
                at = end
        return "".join(parts) + self.content[at:]

    @cached_property
    def words(self) -> str:
        """What a reader sees of it, code included."""
        if not (self.codes or self.links or self.comments):
            return self.content
        text = list(self.content)
        for code in self.codes:
            inner = self.content.find(code.text, code.start, code.end)
            if inner >= 0:
                text[code.start : inner] = [""] * (inner - code.start)
                text[inner + len(code.text) : code.end] = [""] * (code.end - inner - len(code.text))
        for link in self.links:
            label = self.content.rfind("](", link.start, link.end)
            if label >= 0:
                text[label : link.end] = [""] * (link.end - label)
                text[link.start] = ""
        for comment in self.comments:
            text[comment.start : comment.end] = [""] * (comment.end - comment.start)
        return "".join(text)

    def _silent(self) -> list[tuple[int, int]]:
        spans = [(code.start, code.end) for code in self.codes]
        spans += [(comment.start, comment.end) for comment in self.comments]
        for link in self.links:
            label = self.content.rfind("](", link.start, link.end)
            spans.append((label, link.end) if label >= 0 else (link.end, link.end))
        return spans


def pieces_of(content: str, source: Source, first: int, last: int) -> list[Piece]:
    """Finds each line of `content` in the lines `first` to `last` (from 0) of the file, behind their prefixes."""
    found, index = [], 0
    for number, line in enumerate(content.split("\n")):
        at = min(first + number, last)
        raw = source.lines[at]
        written = line.rstrip()
        column = len(raw.rstrip()) - len(written) if raw.rstrip().endswith(written) else max(0, raw.find(written))
        found.append(Piece(index, source.starts[at] + column))
        index += len(line) + 1
    return found


def cells_of(raw: str, start: int) -> list[list[Piece]]:
    """Where the cells of a table's row stand: `raw` is the row, `start` its offset in the file.

    A cell's content lacks the backslash of each `\\|` in it, so it may be made of several pieces.
    """
    cells: list[list[tuple[int, int]]] = [[]]
    begin = 0
    for bar in _BAR.finditer(raw):
        cells[-1].append((begin, bar.start()))
        if bar.group(1):
            begin = bar.end() - 1
        else:
            cells.append([])
            begin = bar.end()
    cells[-1].append((begin, len(raw)))
    if not raw[: cells[0][-1][1]].strip():
        cells = cells[1:]
    return [_trimmed(raw, parts, start) for parts in cells]


def _trimmed(raw: str, parts: list[tuple[int, int]], start: int) -> list[Piece]:
    found, index = [], 0
    for number, (begin, end) in enumerate(parts):
        skipped = 0 if number else len(raw[begin:end]) - len(raw[begin:end].lstrip())
        found.append(Piece(index, start + begin + skipped))
        index += end - begin - skipped
    return found
