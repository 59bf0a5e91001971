"""A document as a tree of sections, each with its own paragraphs, tables and blocks: what editions are compared by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from .document import Block, Document, Heading, Table
from .passage import Passage
from .source import Place, Source

Part: TypeAlias = Heading | Passage | Table | Block


@dataclass
class Section:
    source: Source
    heading: Heading | None
    """None for what stands before the first heading."""
    paragraphs: list[Passage] = field(default_factory=list)
    """Items of lists too, without cells of tables."""
    tables: list[Table] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    inner: list[Section] = field(default_factory=list)

    @property
    def level(self) -> int:
        return self.heading.level if self.heading else 0

    @property
    def place(self) -> Place:
        return self.source.place(self.heading.passage.offset(0) if self.heading else 0)

    @property
    def passages(self) -> Iterator[Passage]:
        """All running text of its own: the heading, the paragraphs, the cells."""
        if self.heading:
            yield self.heading.passage
        yield from self.paragraphs
        for table in self.tables:
            for row in (table.header, *table.rows):
                yield from row


def sections_of(document: Document) -> Section:
    """The whole document, as the section around all others."""
    whole = Section(document.source, None)
    way = [whole]
    for _, part in sorted(_parts(document), key=lambda each: each[0]):
        match part:
            case Heading():
                while part.level <= way[-1].level:
                    way.pop()
                inside = Section(document.source, part)
                way[-1].inner.append(inside)
                way.append(inside)
            case Table():
                way[-1].tables.append(part)
            case Block():
                way[-1].blocks.append(part)
            case Passage():
                way[-1].paragraphs.append(part)
    return whole


def _parts(document: Document) -> Iterator[tuple[int, Part]]:
    for heading in document.headings:
        yield heading.passage.offset(0), heading
    for passage in document.passages:
        if passage.kind == "paragraph" and passage.words.strip():
            yield passage.offset(0), passage
    for table in document.tables:
        yield table.header[0].offset(0), table
    for block in document.blocks:
        yield block.offset(0), block
