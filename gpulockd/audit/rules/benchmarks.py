"""A suggestion that claims to be verified links to a benchmark's report that tried it, and in which it passed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote

from ...evidence.statement import Statement, Tried, read as read_statement
from ..claims.tables import Columns, columns_of, keys_in, value_in
from ..document import Document, Table
from ..findings import Finding
from ..passage import Passage
from ..project import Project
from ..quantities import agrees, narrow, unit_in
from ..source import Unreadable, read
from .links import EXTERNAL, aimed_at
from .suggestions import claims_to_be_verified

RULES: Mapping[str, str] = {
    "suggestion-unsupported": "the report that a verified suggestion links to did not try it, or it did not pass there",
}
_MARKDOWN = frozenset((".md", ".markdown"))
_NOT_IN_THE_WAY = frozenset(("met", "not measured"))


def check(project: Project) -> Iterator[Finding]:
    for audited in project.documents:
        for table in audited.document.tables:
            columns = columns_of(table, project.truths)
            if columns and "suggestion" in columns.kinds:
                yield from _table(table, columns, audited.document, project)


def _table(table: Table, columns: Columns, document: Document, project: Project) -> Iterator[Finding]:
    place = columns.kinds.index("suggestion")
    header = table.header[place].words
    unit = unit_in(header) if "(" in narrow(header) else None
    for row in table.rows:
        others = [cell for number, cell in enumerate(row) if number not in (columns.key, place)]
        claim = next((cell for cell in others if claims_to_be_verified(cell.words)), None)
        keys, value = keys_in(row[columns.key], project.truths), value_in(row[place])
        if claim is None or not keys or value is None:
            continue
        reports = _reports([cell for number, cell in enumerate(row) if number != columns.key], document, project)
        faults = [_fault(name, statement, keys, value.text, unit) for name, statement in reports]
        if faults and all(faults):
            yield Finding(
                "suggestion-unsupported",
                claim.source.place(claim.offset(0)),
                f"{keys[0]} {value.text} is {claim.words.strip()}",
                faults[0],
                hint="measure it with gpulockctl bench, or say that it is to be verified",
            )


def _reports(cells: Sequence[Passage], document: Document, project: Project) -> list[tuple[str, Statement | None]]:
    """What is linked to, by name; nothing at all where a link leads to what cannot be judged, such as to the web."""
    found: list[tuple[str, Statement | None]] = []
    for link in (link for cell in cells for link in cell.links):
        name = unquote(link.target).partition("#")[0].partition("?")[0]
        path = aimed_at(name, document, project)
        if EXTERNAL.match(link.target) or path.suffix.lower() not in _MARKDOWN or not path.is_file():
            return []
        found.append((project.shown(path), _statement(path)))
    return found


def _statement(path: Path) -> Statement | None:
    try:
        return read_statement(read(path, str(path)).text)
    except Unreadable:
        return None


def _fault(name: str, statement: Statement | None, keys: Sequence[str], value: str, unit: str | None) -> str:
    """Why a report does not show that the setting is better so; empty where it does."""
    if statement is None:
        return f"{name} is no report of gpulockctl bench"
    tried = [(each, each.settings[key]) for each in statement.variants for key in keys if key in each.settings]
    if not tried:
        return f"{name} did not try {keys[0]}"
    same = [each for each, setting in tried if agrees(value, setting, unit) is not False]
    if not same:
        return f"{name} tried it at {', '.join(f'{setting}' for _, setting in tried)}"
    if any(_passed(each) for each in same):
        return ""
    return f"in {name} {same[0].name} has {_outcome(same[0])}"


def _passed(tried: Tried) -> bool:
    return tried.verdict == "passed" and set(tried.bars.values()) <= _NOT_IN_THE_WAY


def _outcome(tried: Tried) -> str:
    if tried.verdict == "baseline":
        return "only been the baseline"
    open_bars = [f"{name} {answer}" for name, answer in tried.bars.items() if answer not in _NOT_IN_THE_WAY]
    return f"not passed: {', '.join(open_bars)}" if open_bars else "not passed"
