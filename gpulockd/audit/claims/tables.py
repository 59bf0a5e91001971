"""Claims in tables: a column of keys, and beside it columns of values, defaults, suggestions, earlier values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ..document import Document, Table
from ..passage import Passage, Span
from ..quantities import narrow, quantity_at, unit_in
from ..roles import CURRENT, Column, Role, of_column, of_place
from ..truths import Truths, is_distinctive
from .claim import Claim

_EMPTY = frozenset(("", "-", "–", "—", "n/a", "/", "?"))


class Columns(NamedTuple):
    key: int
    kinds: list[Column]


def table_claims(document: Document, truths: Truths) -> Iterator[Claim]:
    for table in document.tables:
        if columns := columns_of(table, truths):
            yield from _claims(table, columns, truths)


def columns_of(table: Table, truths: Truths) -> Columns | None:
    """What its columns are, if one of them has keys of this configuration."""
    counts = [
        sum(
            bool(keys_in(row[place], truths) or _is_variable(row[place], truths))
            for row in table.rows
            if place < len(row)
        )
        for place in range(len(table.header))
    ]
    kinds: list[Column] = [of_column(cell.words) for cell in table.header]
    best = max(range(len(counts)), key=lambda place: (counts[place], -place), default=0)
    if not counts or counts[best] == 0 or counts[best] * 2 < len(table.rows):
        return None  # a list of parameters, of which one is called as a setting is
    kinds[best] = "key"
    if len(kinds) == 2 and kinds[1 - best] == "" and _is_all_values([row[1 - best] for row in table.rows]):
        kinds[1 - best] = "value"
    return Columns(best, kinds)


def keys_in(cell: Passage, truths: Truths) -> tuple[str, ...]:
    """The setting that a cell names: in backticks, or as its only word."""
    names = [code.text for code in cell.codes] or [cell.content.strip("* ")]
    found = [keys for name in names if (keys := truths.resolve(name.rstrip(":"), cell.section))]
    return found[0] if len(found) == 1 else ()


def _is_variable(cell: Passage, truths: Truths) -> bool:
    """One that sets no key stands among those that do."""
    return any(code.text in (truths.variables or ()) for code in cell.codes)


def name_in(cell: Passage) -> str:
    return cell.codes[0].text if cell.codes else cell.content.strip("* ")


def role_of(table: Table, kind: Column, header: str) -> Role:
    """A column that says what it is goes before the place where its table stands."""
    if kind in {"suggestion", "history"}:
        return kind
    return "claim" if CURRENT.search(header) else of_place(table.lead, table.section)


def _claims(table: Table, columns: Columns, truths: Truths) -> Iterator[Claim]:
    units = [place for place, kind in enumerate(columns.kinds) if kind == "unit"]
    for row in table.rows:
        if not (keys := keys_in(row[columns.key], truths)):
            continue
        if len(keys) > 1 and not is_distinctive(keys[0].rpartition(".")[2]):
            continue
        for place, kind in enumerate(columns.kinds):
            if kind not in {"value", "default", "suggestion", "history"} or not (found := value_in(row[place])):
                continue
            header = table.header[place].words
            unit = unit_in(header) if "(" in narrow(header) else None
            if unit is None and units:
                unit = unit_in(row[units[0]].words)
            cell = row[place]
            yield Claim(
                keys,
                name_in(row[columns.key]),
                found.text,
                cell.source,
                cell.offset(found.start),
                cell.offset(found.end),
                "table",
                role_of(table, kind, header),
                unit,
                of_default=kind == "default",
            )


def value_in(cell: Passage) -> Span | None:
    """The one value that a cell has; None for empty cells, ranges, alternatives, sentences."""
    text = narrow(cell.content).lower()
    if text.strip("`* ") in _EMPTY:
        return None
    if cell.codes:
        return _code_value(cell, text)
    start = len(text) - len(text.lstrip("*_ "))
    if found := quantity_at(text, start):
        rest = text[found.end :].strip("*_ ")
        return Span(start, found.end, cell.content[start : found.end]) if _may_follow(rest) else None
    bare = cell.content.strip("*_ ")
    if len(bare.split()) == 1 and _is_word(bare):
        at = cell.content.index(bare)
        return Span(at, at + len(bare), bare)
    return None


def _code_value(cell: Passage, text: str) -> Span | None:
    """A value in backticks stands alone, or with a remark behind it; a unit may follow outside of them."""
    code = cell.codes[0]
    if len(cell.codes) > 1 or text[: code.start].strip("*_ "):
        return None
    inner = cell.content.index(code.text, code.start) if code.text in cell.content else code.start
    rest = text[code.end :].strip("*_ ")
    unit = unit_in(rest.split()[0]) if rest else None
    if unit is None and rest and not _may_follow(rest):
        return None
    return Span(inner, inner + len(code.text), code.text if unit is None else f"{code.text} {unit}")


def _may_follow(rest: str) -> bool:
    return not rest or rest[0] in "(,;，；。（" or rest.startswith(("default", "默认"))


def _is_word(text: str) -> bool:
    return not any(each in text for each in "/|→<>≥≤~")


def _is_all_values(cells: Sequence[Passage]) -> bool:
    values = [value_in(cell) for cell in cells if cell.content.strip()]
    return bool(values) and all(values)
