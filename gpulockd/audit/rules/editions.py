"""Editions of one document in several languages: what no translation changes is the same in all of them.

Sections belong together by their order. What is missing or different is told where it stands.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from urllib.parse import unquote

from .. import yamltext
from ..alignment import MANY_PAIRS, aligned
from ..document import Block, Document, Table
from ..findings import Finding
from ..passage import Passage
from ..project import Project
from ..sections import Section, sections_of
from ..source import Place
from ..typed import SHELLS
from ..untranslated import Line, Name, left_over, lines_in, names_in, numbers_in

RULES: Mapping[str, str] = {
    "edition-missing": "an edition of a document that is not there",
    "edition-section": "a heading that another edition does not have, or has on another level",
    "edition-table": "a table, a row or a column that another edition does not have",
    "edition-value": "a number or a value that another edition has differently, or not at all",
    "edition-key": "a setting that another edition does not name",
    "edition-command": "a command or an option that another edition has differently, or not at all",
    "edition-name": "a name in backticks that another edition does not have",
    "edition-block": "a line of a block that another edition has differently, or not at all",
    "edition-link": "a link that another edition does not have",
}


def check(project: Project) -> Iterator[Finding]:
    by_name = {audited.source.name: audited.document for audited in project.documents}
    for names in project.rules.editions:
        present = [by_name[name] for name in names if name in by_name]
        for name in names if present else ():
            if not (project.root / name).is_file():
                place = present[0].source.place(0)
                yield Finding("edition-missing", place, f"{name} is an edition of this", "it is not there")
        for other in present[1:]:
            yield from _Comparison(present[0], other, project).findings()


class _Comparison:
    """Of two editions. A finding stands in the second, unless only the first has what it is about."""

    def __init__(self, one: Document, other: Document, project: Project) -> None:
        self._whole = sections_of(one), sections_of(other)
        self._truths = project.truths
        self._originals = {str(project.root / name): names[0] for names in project.rules.editions for name in names}
        """What each edition is one of."""
        self._anchors = {
            str(each.source.path.resolve()): [heading.anchor for heading in each.document.headings]
            for each in project.documents
        }
        self._told: set[tuple[str, int]] = set()
        """The cells whose names a finding has told of, by file and offset."""

    def findings(self) -> Iterator[Finding]:
        yield from self._section(*self._whole)

    def _section(self, one: Section, other: Section) -> Iterator[Finding]:
        if one.level != other.level:
            yield Finding(
                "edition-section",
                other.place,
                f"this heading is of level {other.level}",
                f"in the other edition it is of level {one.level}",
                str(one.place),
            )
        if one.heading and other.heading:
            yield from self._numbers([one.heading.passage], [other.heading.passage])
        if len(one.paragraphs) == len(other.paragraphs):
            for mine, theirs in zip(one.paragraphs, other.paragraphs, strict=True):
                yield from self._numbers([mine], [theirs])
        else:
            yield from self._numbers(one.paragraphs, other.paragraphs)
        for table, its in aligned(one.tables, other.tables, _traits_of_table):
            yield from self._table(table, its, (one, other))
        yield from self._names(one, other)
        yield from self._links(one, other)
        for block, its_block in aligned(one.blocks, other.blocks, _traits_of_block):
            yield from self._block(block, its_block, (one, other))
        for inner, its_inner in aligned(one.inner, other.inner, _traits_of_section):
            if inner and its_inner:
                yield from self._section(inner, its_inner)
            elif lonely := inner or its_inner:
                title = lonely.heading.passage.words if lonely.heading else ""
                there = other if inner else one
                yield _missing("edition-section", lonely.place, f"the section “{title}” stands here", there.place)

    def _numbers(self, ones: Sequence[Passage], others: Sequence[Passage]) -> Iterator[Finding]:
        mine, theirs = left_over(
            [number for passage in ones for number in numbers_in(passage)],
            [number for passage in others for number in numbers_in(passage)],
        )
        for number, its in zip(mine, theirs, strict=False):
            truth = f"the other edition has {number.text}"
            yield Finding("edition-value", its.place, f"{its.text} stands here", truth, str(number.place))
        for lonely, there in ((mine[len(theirs) :], others), (theirs[len(mine) :], ones)):
            for number in lonely:
                near = there[0].source.place(there[0].offset(0)) if there else None
                yield _missing("edition-value", number.place, f"{number.text} stands here", near)

    def _names(self, one: Section, other: Section) -> Iterator[Finding]:
        """Of a whole section: one language repeats a name where another says “it”."""
        for mine, theirs in ((one, other), (other, one)):
            text = " ".join(" ".join(passage.content for passage in theirs.passages).split())
            told: set[str] = set()
            for passage in (each for each in mine.passages if _id(each) not in self._told):
                for name in names_in(passage):
                    if name.text not in text and name.text not in told:
                        told.add(name.text)
                        yield _missing(self._kind(name), name.place, f"`{name.text}` stands here", theirs.place)

    def _kind(self, name: Name) -> str:
        if self._truths.resolve(name.text.rstrip(":")):
            return "edition-key"
        if name.text.split()[0] in self._truths.programs or name.text.startswith("-"):
            return "edition-command"
        setting = re.match(r"([\w.-]+)\s*[:=]", name.text)
        if (setting and self._truths.resolve(setting[1])) or re.fullmatch(r"[-+−]?[\d.]+\s*\w{0,3}", name.text):
            return "edition-value"
        return "edition-name"

    def _links(self, one: Section, other: Section) -> Iterator[Finding]:
        targets, its = self._targets(one), self._targets(other)
        for mine, theirs, there in ((targets, its, other), (its, targets, one)):
            for target, (written, place) in mine.items():
                if target not in theirs:
                    yield _missing("edition-link", place, f"a link to {written} stands here", there.place)

    def _targets(self, section: Section) -> dict[Hashable, tuple[str, Place]]:
        """Where its links lead, by what is the same in all editions. Pages on the web have editions, too."""
        found: dict[Hashable, tuple[str, Place]] = {}
        for passage in section.passages:
            for link in passage.links:
                target = unquote(link.target)
                if re.match(r"[A-Za-z][\w+.-]*:|//", target):
                    continue
                name, _, anchor = target.partition("#")
                here = section.source.path
                path = str((here.parent / name if name else here).resolve())
                place = passage.source.place(passage.offset(link.start))
                found.setdefault((self._originals.get(path, path), self._heading(path, anchor)), (target, place))
        return found

    def _heading(self, path: str, anchor: str) -> Hashable:
        """The number of the heading, in a document that is an edition; else its anchor."""
        anchors = self._anchors.get(path, []) if path in self._originals else []
        return anchors.index(anchor) if anchor in anchors else anchor

    def _table(self, one: Table | None, other: Table | None, sections: tuple[Section, Section]) -> Iterator[Finding]:
        if one is None or other is None:
            if lonely := one or other:
                self._told.update(_id(cell) for row in (lonely.header, *lonely.rows) for cell in row)
                place = _place(lonely.header[0])
                yield _missing("edition-table", place, "a table stands here", sections[one is not None].place)
            return
        if len(one.header) != len(other.header):
            says, truth = f"this table has {len(other.header)} columns", f"the other edition has {len(one.header)}"
            yield Finding("edition-table", _place(other.header[0]), says, truth, str(_place(one.header[0])))
            return
        for mine, theirs in aligned([one.header, *one.rows], [other.header, *other.rows], _traits_of_row):
            if mine and theirs:
                for cell, its in zip(mine, theirs, strict=False):
                    yield from self._numbers([cell], [its])
                    yield from self._cell(cell, its)
            elif row := mine or theirs:
                self._told.update(map(_id, row))
                there = other if mine else one
                says = f"the row “{row[0].words.strip()}” stands here"
                yield _missing("edition-table", _place(row[0]), says, _place(there.header[0]))

    def _cell(self, one: Passage, other: Passage) -> Iterator[Finding]:
        """A cell that is but a name, or a value in backticks, is the same in all editions."""
        mine, theirs = list(names_in(one)), list(names_in(other))
        if [each.text for each in mine] == [each.text for each in theirs] or not (len(mine) == len(theirs) == 1):
            return
        if mine[0].text in other.content or theirs[0].text in one.content:
            return
        self._told |= {_id(one), _id(other)}
        rule = self._kind(mine[0])
        says, truth = f"`{theirs[0].text}` stands here", f"the other edition has `{mine[0].text}`"
        yield Finding(rule, theirs[0].place, says, truth, str(mine[0].place))

    def _block(self, one: Block | None, other: Block | None, sections: tuple[Section, Section]) -> Iterator[Finding]:
        if one is None or other is None:
            if lonely := one or other:
                place = lonely.source.place(lonely.offset(0))
                yield _missing("edition-block", place, "a block stands here", sections[one is not None].place)
            return
        if isinstance(one.yaml, yamltext.Tree) and isinstance(other.yaml, yamltext.Tree):
            yield from _yaml(one, one.yaml, other, other.yaml)
        elif one.language or other.language:
            yield from _lines(one, other)


def _yaml(one: Block, tree: yamltext.Tree, other: Block, its: yamltext.Tree) -> Iterator[Finding]:
    """By what it says, in whatever form."""
    mine = {(leaf.path, at): leaf for leaf, at in _counted(tree)}
    theirs = {(leaf.path, at): leaf for leaf, at in _counted(its)}
    for path in (path for path in theirs if path in mine):
        leaf, its_leaf = mine[path], theirs[path]
        if leaf.value != its_leaf.value and not (isinstance(its_leaf.value, str) and not its_leaf.value.isascii()):
            yield Finding(
                "edition-value",
                other.source.place(other.offset(its_leaf.start)),
                f"{'.'.join(path[0])} is {its_leaf.written} here",
                f"in the other edition it is {leaf.written}",
                str(one.source.place(one.offset(leaf.start))),
            )
    for block, leaves, others, there in ((one, mine, theirs, other), (other, theirs, mine, one)):
        for path in (path for path in leaves if path not in others):
            place = block.source.place(block.offset(leaves[path].key))
            yield _missing(
                "edition-key", place, f"{'.'.join(path[0])} is set here", there.source.place(there.offset(0))
            )


def _counted(tree: yamltext.Tree) -> Iterator[tuple[yamltext.Leaf, int]]:
    """Each leaf, and how many of that path came before: in lists, and in several documents of one block."""
    met: dict[yamltext.Path, int] = {}
    for leaf in tree.leaves:
        met[leaf.path] = met.get(leaf.path, -1) + 1
        yield leaf, met[leaf.path]


def _lines(one: Block, other: Block) -> Iterator[Finding]:
    mine, theirs = lines_in(one), lines_in(other)
    is_short = len(mine) * len(theirs) <= MANY_PAIRS  # else what is frequent is passed over, or it takes for ever
    matcher = SequenceMatcher(None, [line.text for line in mine], [line.text for line in theirs], autojunk=not is_short)
    for tag, first, last, its_first, its_last in matcher.get_opcodes():
        if tag == "equal":
            continue
        left, right = mine[first:last], theirs[its_first:its_last]
        for line, its in zip(left, right, strict=False):
            if not line.is_said_by(its):
                truth = f"the other edition has “{line.text.strip()}”"
                rule = _rule_of(line, one)
                yield Finding(rule, its.place, f"“{its.text.strip()}” stands here", truth, str(line.place))
        for lonely, there in ((left[len(right) :], other), (right[len(left) :], one)):
            for line in (each for each in lonely if not each.loose):
                place = there.source.place(there.offset(0))
                yield _missing(_rule_of(line, one), line.place, f"“{line.text.strip()}” stands here", place)


def _rule_of(line: Line, block: Block) -> str:
    typed = block.language in SHELLS and (line.text.lstrip()[:2] in {"$ ", "# "} or block.language != "console")
    return "edition-command" if typed else "edition-block"


def _missing(rule: str, place: Place, says: str, there: Place | None) -> Finding:
    return Finding(rule, place, says, "the other edition does not have it", str(there or ""))


def _id(passage: Passage) -> tuple[str, int]:
    return passage.source.name, passage.offset(0)


def _place(passage: Passage) -> Place:
    return passage.source.place(passage.offset(0))


def _traits_of_row(row: Sequence[Passage]) -> frozenset[Hashable]:
    found: set[Hashable] = {name.text for cell in row for name in names_in(cell)}
    return frozenset(found | {number.value for cell in row for number in numbers_in(cell)})


def _traits_of_table(table: Table) -> frozenset[Hashable]:
    return frozenset(trait for row in (table.header, *table.rows) for trait in _traits_of_row(row))


def _traits_of_block(block: Block) -> frozenset[Hashable]:
    return frozenset({line.text for line in lines_in(block)} | {block.language})


def _traits_of_section(section: Section) -> frozenset[Hashable]:
    found: set[Hashable] = {name.text for passage in section.passages for name in names_in(passage)}
    found.update(trait for block in section.blocks for trait in _traits_of_block(block))
    return frozenset(found.union(*(_traits_of_section(inner) for inner in section.inner)))
