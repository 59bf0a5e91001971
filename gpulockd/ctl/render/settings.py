"""Every setting that is in force, and where it came from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .look import Look
from .table import Column, table
from .text import Text

if TYPE_CHECKING:
    from gpulock.configuration import ConfigDocument, SettingView

_COLUMNS = (Column("KEY"), Column("VALUE"), Column("FROM"))


def picture(document: ConfigDocument, _: Look) -> list[Text]:
    """What was set by somebody stands out; what was left at its default is quiet. Nothing is cut, however wide."""
    rows = [_cells(setting) for setting in document["settings"]]
    lines = table(_COLUMNS, rows, sum(sum(cell.width for cell in row) for row in rows))
    if document["edited"]:
        lines.append(Text(f"{document['file']} holds something else by now, which is not in force.", "warn"))
        lines.append(Text("What would it change? gpulockctl config reload --dry-run", "quiet"))
    return lines


def _cells(setting: SettingView) -> list[Text]:
    ours = setting["source"] != "default"
    return [
        Text(setting["key"], "strong" if ours else ""),
        Text(value(setting["value"]), "strong" if ours else ""),
        Text(setting["source"], "" if ours else "quiet"),
    ]


def value(setting: object) -> str:
    """A value as one would write it in `config.yml`."""
    if isinstance(setting, bool):
        return "true" if setting else "false"
    if isinstance(setting, float):
        return "forever" if setting == float("inf") else f"{setting:g}"
    if isinstance(setting, list):
        return f"[{', '.join(value(each) for each in setting)}]"
    return '""' if setting == "" else str(setting)
