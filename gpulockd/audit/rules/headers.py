"""The top of a document and its end agree on its version, its date, its state."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from ..document import Document
from ..findings import Finding
from ..project import Project

RULES: Mapping[str, str] = {
    "header-disagrees": "a document names its version, date or state twice, and differently",
}
_NAMES = {
    "version": r"(?:document |doc )?version|文档版本|版本号?",
    "update": r"last[- ]updated?|last[- ]modified|updated|最后更新(?:时间|日期)?|更新时间|更新日期|修订日期",
    "date": r"date|日期",
    "state": r"status|state|状态|文档状态",
}
_FIELD = re.compile(
    r"(?:^|(?<=[\n|｜>*_(（·\s]))(?:" + "|".join(f"(?P<{kind}>{names})" for kind, names in _NAMES.items()) + r")"
    r"[*_\s]*[:：|][*_\s]*(?P<value>[^\n|｜·;；,，*]+)",
    re.IGNORECASE,
)
# Without a colon it stands between marks that part such statements: no "version 1.2 of the protocol".
_BARE_VERSION = re.compile(
    r"(?:^|[\n|｜·])[\s>*_]*(?P<version>version|版本号?)\s+(?P<value>v?\d+(?:\.\d+)+)(?=[*_\s]*(?:$|[\n|｜·—–]))",
    re.IGNORECASE,
)
_TITLE_VERSION = re.compile(r"\bv(?P<value>\d+(?:\.\d+)+)\b", re.IGNORECASE)
_DATE = re.compile(r"(\d{4})\s*[-/.年]\s*(\d{1,2})\s*[-/.月]\s*(\d{1,2})")
LAST_PASSAGES = 6


class Field(NamedTuple):
    kind: str
    value: str
    offset: int


def check(project: Project) -> Iterator[Finding]:
    for audited in project.documents:
        first: dict[str, Field] = {}
        for field in sorted(fields(audited.document), key=lambda field: field.offset):
            known = first.setdefault(field.kind, field)
            one, other = _normal(known), _normal(field)
            if one and other and one != other:
                source = audited.source
                yield Finding(
                    "header-disagrees",
                    source.place(field.offset),
                    f"the {field.kind} is {field.value} here",
                    f"it is {known.value} above",
                    str(source.place(known.offset)),
                )


def fields(document: Document) -> Iterator[Field]:
    """Of the front matter, of what stands before the second heading, and of the last passages."""
    if document.front_matter:
        block = document.front_matter
        for match in _FIELD.finditer(block.content):
            yield _field(match, block.offset(match.start("value")))
    second = document.headings[1].passage if len(document.headings) > 1 else None
    top = []
    for passage in document.passages:
        if passage is second:
            break
        top.append(passage)
    bottom = [passage for passage in document.passages[-LAST_PASSAGES:] if passage not in top]
    for number, passage in enumerate((*top, *bottom)):
        if number == 0 and passage.kind == "heading" and (title := _TITLE_VERSION.search(passage.prose)):
            yield Field("version", title.group(), passage.offset(title.start()))
        for pattern in (_FIELD, _BARE_VERSION) if passage.kind != "heading" else ():
            for match in pattern.finditer(passage.content):
                yield _field(match, passage.offset(match.start("value")))
    for table in document.tables:
        for row in [table.header, *table.rows] if len(table.header) == 2 and table.header[0] in top else ():
            if cell := _FIELD.fullmatch(f"{row[0].words.strip('* ')}: {row[1].words.strip('* ') or '?'}"):
                yield Field(_kind(cell), cell["value"].strip(), row[1].offset(0))


def _field(match: re.Match[str], offset: int) -> Field:
    return Field(_kind(match), match["value"].strip(" `\"'"), offset)


def _kind(match: re.Match[str]) -> str:
    return next(kind for kind, text in match.groupdict().items() if text and kind in _NAMES)


def _normal(field: Field) -> tuple[str, ...] | None:
    """What can be compared: numbers of a version, a day, a word. Long texts are no state."""
    value = field.value
    if field.kind == "version":
        found = re.search(r"\d+(?:\.\d+)*", value)
        return ("version", found.group()) if found else None
    if field.kind in {"update", "date"}:
        day = _DATE.search(value)
        return ("day", *(str(int(part)) for part in day.groups())) if day else None
    words = re.sub(r"[^\w\s]", "", value).strip().lower()
    return ("ascii" if words.isascii() else "other", words) if words and len(words) < 20 else None
