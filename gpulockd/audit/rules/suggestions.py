"""Suggestions are marked as what they are: with what is, what it gains, what it risks, and whether it is verified."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from ..claims.tables import columns_of
from ..document import Table
from ..findings import Finding
from ..passage import Passage
from ..project import Project
from ..roles import of_column

RULES: Mapping[str, str] = {
    "suggestion-columns": "a table of suggestions lacks a column: current, expected gain, risk or verification",
    "suggestion-unproven": "a suggestion claims to be verified, and links to no evidence",
}
_NEEDED = {
    "current": re.compile(r"\b(?:current|now|today|is)\b|当前|现值|目前|现在|现状", re.IGNORECASE),
    "expected gain": re.compile(
        r"\b(?:gains?|benefits?|effects?|expected|impact)\b|收益|效果|预期|好处|影响", re.IGNORECASE
    ),
    "risk": re.compile(r"\brisks?\b|风险", re.IGNORECASE),
    "verification status": re.compile(r"\b(?:status|verif\w+|tested|evidence)\b|状态|验证|证据", re.IGNORECASE),
}
VERIFIED = re.compile(
    r"(?<!un)\b(?:verified|tested|proven|confirmed|done)\b|已验证|验证通过|已完成|已确认|已测试|[✅☑✔]", re.IGNORECASE
)
NOT_VERIFIED = re.compile(
    r"\b(?:not|to be|un|yet to be|partly|never|awaits?|pending)\b[\s-]*|(?<!等)(?<!期)待|未|尚|[❌⏳]|否", re.IGNORECASE
)

_YES = re.compile(r"\W*(?:yes|y|是|通过)\W*", re.IGNORECASE)


def check(project: Project) -> Iterator[Finding]:
    for audited in project.documents:
        for table in audited.document.tables:
            kinds = [of_column(cell.words) for cell in table.header]
            if "suggestion" in kinds and columns_of(table, project.truths):
                yield from _table(table)


def _table(table: Table) -> Iterator[Finding]:
    headers = [cell.words for cell in table.header]
    missing = [name for name, words in _NEEDED.items() if not any(words.search(header) for header in headers)]
    first = table.header[0]
    if missing:
        yield Finding(
            "suggestion-columns",
            first.source.place(first.offset(0)),
            "this table suggests settings",
            f"it has no column for: {', '.join(missing)}",
        )
    status = [place for place, header in enumerate(headers) if _NEEDED["verification status"].search(header)]
    for row in table.rows:
        for place in status:
            if is_verified(row[place].words) and not any(_is_evidence(cell) for cell in row):
                cell = row[place]
                yield Finding(
                    "suggestion-unproven",
                    cell.source.place(cell.offset(0)),
                    f"this suggestion is {cell.words.strip()}",
                    "nothing in its row links to the evidence",
                )


def is_verified(text: str) -> bool:
    """What a cell says in a column that asks for it: there a mere yes is enough."""
    return bool(_YES.fullmatch(text)) or claims_to_be_verified(text)


def claims_to_be_verified(text: str) -> bool:
    return bool(VERIFIED.search(text)) and not NOT_VERIFIED.search(text)


def _is_evidence(cell: Passage) -> bool:
    return any(not link.image or link.target for link in cell.links)
