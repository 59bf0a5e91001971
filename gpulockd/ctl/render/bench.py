"""What a benchmark found, in a few lines: each variant, its verdict, and its figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from .look import Look
from .table import Column, table
from .text import Style, Text

if TYPE_CHECKING:
    from ...evidence.bench.report import Report
    from ...evidence.statistics import Estimate

_COLUMNS = (
    Column("VARIANT"),
    Column("VERDICT"),
    Column("WAIT", "right"),
    Column("95 %", "right", drop=3),
    Column("TASKS/H", "right"),
    Column("TIMEOUTS", "right"),
    Column("REDIS/S", "right", drop=1),
    Column("REDIS CPU", "right", drop=2),
)
_STYLES: Mapping[str, Style] = {"passed": "good", "not passed": "warn", "baseline": "quiet"}


def picture(report: Report, look: Look) -> list[Text]:
    rows = []
    for tried in report.statement.variants:
        figures = report.figures[tried.name]
        interval = f"{figures.wait.low:.2f} to {figures.wait.high:.2f} s" if figures.wait else ""
        cells = [
            tried.name,
            tried.verdict,
            _shown(figures.wait, 2, " s"),
            interval,
            _shown(figures.per_hour, 0),
            f"{figures.timeouts.value:.1%}",
            _shown(figures.requests, 2),
            _shown(figures.cpu and figures.cpu._replace(value=100 * figures.cpu.value), 2, "%"),
        ]
        rows.append([Text(cell, _STYLES[tried.verdict] if place == 1 else "") for place, cell in enumerate(cells)])
    lines = table(_COLUMNS, rows, look.width)
    for name, judgements in report.judgements.items():
        open_bars = [f"{each.bar.text}: {each.answer}" for each in judgements if each.answer != "met"]
        for each in open_bars:
            lines += [Text("  ") + part for part in Text(f"{name}: {each}", "quiet").wrap(look.width - 2)]
    return lines


def _shown(estimate: Estimate | None, digits: int, unit: str = "") -> str:
    return "-" if estimate is None else f"{estimate.value:,.{digits}f}{unit}"
