"""Markdown as its readers see it, with the place of everything: sections, passages, tables, blocks of code, links.

markdown-it-py tells the lines of blocks; the columns of what stands inside them are noted by the rules that find it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from markdown_it import MarkdownIt
from markdown_it.rules_inline import StateInline, autolink, backtick, html_inline, image, link
from markdown_it.token import Token

from . import yamltext
from .passage import Kind, Link, Passage, Piece, Span, cells_of, pieces_of
from .source import Source

YAML = frozenset(("yaml", "yml", "json"))
_COMMENT = re.compile(r"<!--(.*?)-->", re.DOTALL)
_ANCHOR = re.compile(r"<\w[^>]*\s(?:id|name)\s*=\s*[\"']?([^\"'\s>]+)", re.IGNORECASE)
_CUSTOM_ANCHOR = re.compile(r"\{#([^}\s]+)\}\s*$")
_EXTENDED = frozenset(("paragraph_open", "heading_open", "table_open", "fence", "code_block", "html_block"))
_TARGET = re.compile(r"\]\(\s*<?([^\s<>]*)")


@dataclass(frozen=True)
class Block:
    """A block of code. `content` is without the prefixes of its lines."""

    source: Source
    info: str
    content: str
    pieces: Sequence[Piece]
    section: tuple[str, ...]
    lead: str
    """The text that stands directly before it and introduces it."""

    @property
    def language(self) -> str:
        """The first word behind the fence: `yaml`, `console`."""
        return re.split(r"[\s{:,]", self.info.strip().lstrip("{."), maxsplit=1)[0].lower()

    @cached_property
    def yaml(self) -> yamltext.Tree | yamltext.Broken | None:
        """What it is as YAML, of which JSON is a part; None where it does not say that it is."""
        return yamltext.read(self.content) if self.language in YAML else None

    def offset(self, index: int) -> int:
        return Passage(self.source, "paragraph", self.content, self.pieces).offset(index)


@dataclass(frozen=True)
class Table:
    header: list[Passage]
    rows: list[list[Passage]]
    section: tuple[str, ...]
    lead: str


class Comment(NamedTuple):
    text: str
    offset: int
    end: int


class Heading(NamedTuple):
    level: int
    passage: Passage
    anchor: str


@dataclass
class Document:
    source: Source
    front_matter: Block | None = None
    headings: list[Heading] = field(default_factory=list)
    passages: list[Passage] = field(default_factory=list)
    """All of them, cells and headings too, in the order of the file."""
    tables: list[Table] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    comments: list[Comment] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)
    extents: list[tuple[int, int]] = field(default_factory=list)
    """First and last line of every paragraph, table, block of code and HTML."""


def read_document(source: Source) -> Document:
    reader = _Reader(Document(source))
    text = reader.without_front_matter()
    for token in _PARSER.parse(text):
        reader.take(token)
    return reader.document


def _noting(rule: Callable[[StateInline, bool], bool]) -> Callable[[StateInline, bool], bool]:
    """`rule`, with the span of what it found noted on its tokens."""

    def noting(state: StateInline, silent: bool) -> bool:
        start, count = state.pos, len(state.tokens)
        if not rule(state, silent):
            return False
        for token in state.tokens[count:] if not silent else ():
            if token.type != "text":
                token.meta.setdefault("span", (start, state.pos))
        return True

    return noting


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    rules = {"backticks": backtick, "link": link, "image": image, "autolink": autolink, "html_inline": html_inline}
    for name, rule in rules.items():
        parser.inline.ruler.at(name, _noting(rule))
    return parser


_PARSER = _parser()


class _Reader:
    """Takes the tokens in order, and remembers where in the document it is."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self._source = document.source
        self._titles: list[tuple[int, str]] = []
        self._level = 0
        self._kind: Kind = "paragraph"
        self._lead = ""
        self._row: list[list[Piece]] = []
        self._cells: list[list[Passage]] = []
        self._slugs: dict[str, int] = {}

    def without_front_matter(self) -> str:
        """The text to be parsed: front matter is blanked, since to Markdown it is a rule and a heading."""
        lines = self._source.lines
        text = self._source.text.replace("\ufeff", " ", 1)
        if lines[0].lstrip("\ufeff").rstrip() != "---":
            return text
        for number, line in enumerate(lines[1:], 1):
            if line.rstrip() in {"---", "..."}:
                starts = self._source.starts
                content = self._source.text[starts[1] : starts[number]]
                pieces = [Piece(0, starts[1])]
                self.document.front_matter = Block(self._source, "yaml", content, pieces, (), "")
                return "\n" * (number + 1) + text[starts[number + 1] :] if number + 1 < len(starts) else ""
        return text

    def take(self, token: Token) -> None:
        if token.map and token.type in _EXTENDED:
            self.document.extents.append((token.map[0] + 1, token.map[1]))
        match token.type:
            case "heading_open":
                self._kind, self._level = "heading", int(token.tag[1])
            case "table_open":
                self._cells = []
            case "tr_open" if token.map:
                self._start_row(token.map[0])
            case "table_close":
                self._end_table()
            case "inline" if token.map:
                self._passage(token, token.map[0], token.map[1] - 1)
            case "fence" | "code_block" if token.map:
                first = token.map[0] + (token.type == "fence")
                pieces = pieces_of(token.content, self._source, first, len(self._source.lines) - 1)
                block = Block(self._source, token.info, token.content, pieces, self._section(), self._lead)
                self.document.blocks.append(block)
                self._lead = ""
            case "html_block" if token.map:
                self._html(token.content, pieces_of(token.content, self._source, token.map[0], token.map[1]))
            case _:
                pass

    def _section(self) -> tuple[str, ...]:
        return tuple(title for _, title in self._titles)

    def _start_row(self, line: int) -> None:
        raw = self._source.lines[line]
        # A table in a quotation or a list has prefixes before its rows.
        prefix = re.match(r"[\s>]*", raw)
        begin = prefix.end() if prefix else 0
        self._row = cells_of(raw[begin:], self._source.starts[line] + begin)
        self._cells.append([])
        self._kind = "cell"

    def _end_table(self) -> None:
        self._kind = "paragraph"
        header, *rows = self._cells
        self.document.tables.append(Table(header, rows, self._section(), self._lead))
        self._lead = ""

    def _passage(self, token: Token, first: int, last: int) -> None:
        if self._kind == "cell":
            place = len(self._cells[-1])
            at = self._row[place] if place < len(self._row) else [Piece(0, self._source.starts[first])]
        else:
            at = pieces_of(token.content, self._source, first, last)
        parts = _parts(token.content, token.children or [])
        passage = Passage(self._source, self._kind, token.content, at, *parts, self._section())
        for comment in passage.comments:
            self.document.comments.append(
                Comment(comment.text, passage.offset(comment.start), passage.offset(comment.end))
            )
        for child in token.children or ():
            if child.type == "html_inline":
                self.document.anchors.update(_ANCHOR.findall(child.content))
        if self._kind == "heading":
            self._heading(passage, token.children or [])
            self._kind = "paragraph"
        if self._kind == "cell":
            self._cells[-1].append(passage)
        else:
            self._lead = passage.words
        self.document.passages.append(passage)

    def _heading(self, passage: Passage, children: Sequence[Token]) -> None:
        seen = "".join(child.content for child in children if child.type in {"text", "code_inline"})
        if custom := _CUSTOM_ANCHOR.search(seen):
            self.document.anchors.add(custom.group(1))
        slug = re.sub(r"[^\w\- ]", "", seen.strip().lower()).replace(" ", "-")
        times = self._slugs.get(slug, 0)
        self._slugs[slug] = times + 1
        anchor = f"{slug}-{times}" if times else slug
        self.document.anchors.add(anchor)
        self.document.headings.append(Heading(self._level, passage, anchor))
        self._titles = [(level, title) for level, title in self._titles if level < self._level]
        self._titles.append((self._level, seen))

    def _html(self, content: str, pieces: list[Piece]) -> None:
        at = Passage(self._source, "paragraph", content, pieces)
        for found in _COMMENT.finditer(content):
            self.document.comments.append(Comment(found.group(1), at.offset(found.start()), at.offset(found.end())))
        self.document.anchors.update(_ANCHOR.findall(content))


def _parts(content: str, children: Sequence[Token]) -> tuple[list[Span], list[Link], list[Span]]:
    """The code, the links and the comments of a passage, which its tokens tell of."""
    codes, links, comments = [], [], []
    for child in children:
        if not child.meta or "span" not in child.meta:
            continue
        start, end = child.meta["span"]
        match child.type:
            case "code_inline":
                codes.append(Span(start, end, child.content))
            case "link_open" | "image":
                target = str(child.attrs.get("href") or child.attrs.get("src") or "")
                links.append(Link(start, end, target, _written(content, start, end), child.type == "image"))
            case "html_inline" if found := _COMMENT.fullmatch(child.content):
                comments.append(Span(start, end, found.group(1)))
            case _:
                pass
    return codes, links, comments


def _written(content: str, start: int, end: int) -> Span | None:
    """The target of an inline link: the last `](` in it begins it, since labels may hold images."""
    found = list(_TARGET.finditer(content, start, end))
    if not found:
        return None
    target = found[-1].group(1).rstrip(")")
    return Span(found[-1].start(1), found[-1].start(1) + len(target), target)
