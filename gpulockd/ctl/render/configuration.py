"""Changes of the configuration: what one did, the story of all, and the lines in which two versions differ."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from .history import clock
from .look import Look
from .settings import value
from .table import Column, table
from .text import Style, Text

if TYPE_CHECKING:
    from gpulock.configuration import ChangeDocument, ChangeView, ConfigEntryView, ConfigHistoryDocument

_CHANGES = (Column("KEY"), Column("BEFORE", most=40), Column("AFTER", most=40))
_HISTORY = (
    Column("VERSION", align="right"),
    Column("WHEN"),
    Column("HOW"),
    Column("OUTCOME"),
    Column("BY", most=24, drop=1),
    Column("WHAT", least=24, filler=True),
)
_OUTCOMES: dict[str, Style] = {"applied": "good", "refused": "bad", "begun": "warn", "set-aside": "quiet"}


def changed(document: ChangeDocument, look: Look) -> list[Text]:
    """What a change did, or would do."""
    changes = document["changes"]
    lines = table(_CHANGES, [_cells(each) for each in changes], look.width) if changes else []
    version = document["version"]
    match document["outcome"]:
        case "applied":
            lines.append(Text(f"Version {version} is in force. Undo: gpulockctl config rollback", "good"))
        case "dry-run":
            lines.append(Text(f"Nothing was done: version {version} is in force.", "quiet"))
            if not changes:
                lines.append(Text("No setting would change.", "quiet"))
        case _:
            lines.append(Text(f"Nothing to do: version {version} is in force.", "quiet"))
    return lines


def _cells(change: ChangeView) -> list[Text]:
    return [Text(change["key"], "strong"), Text(_value(change["before"])), Text(_value(change["after"]))]


def _value(setting: object) -> str:
    return "-" if setting is None else value(setting)


def history(document: ConfigHistoryDocument, look: Look, now: float) -> list[Text]:
    """`now` by the wall clock."""
    if not document["entries"]:
        return [Text("The configuration has no history yet.", "quiet")]
    lines = table(_HISTORY, [_line(entry, now) for entry in document["entries"]], look.width)
    if document["earlier"] is not None:
        lines.append(Text("There are earlier ones: --limit N shows more of them.", "quiet"))
    return lines


def _line(entry: ConfigEntryView, now: float) -> list[Text]:
    version = "" if entry["version"] is None else f"{entry['version']}"
    keys = ", ".join(change["key"] for change in entry["changes"])
    what = "; ".join(part for part in (entry["reason"], keys, entry["why"]) if part)
    return [
        Text(f"* {version}" if entry["current"] else version, "strong" if entry["current"] else ""),
        Text(clock(entry["at"], now)),
        Text(entry["how"]),
        Text(entry["outcome"], _OUTCOMES.get(entry["outcome"], "")),
        Text(_who(entry)),
        Text(what),
    ]


def _who(entry: ConfigEntryView) -> str:
    return entry["user"] or f"uid {entry['uid']}"


def differences(lines: Sequence[str]) -> Iterable[Text]:
    """Of a unified diff."""
    if not lines:
        return [Text("No difference.", "quiet")]
    return [Text(line, _style(line)) for line in lines]


def _style(line: str) -> Style:
    if line.startswith(("---", "+++")):
        return "strong"
    return "good" if line.startswith("+") else "bad" if line.startswith("-") else ""
