"""Bar charts of contenders, as SVG. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from gpulockd.evidence.drawing import Layout, Sheet
from gpulockd.evidence.statistics import Estimate

_LAYOUT = Layout(
    left=190,
    plot=400,
    right=130,
    light=".bar { fill: #8c959f } .ours { fill: #1f6feb }",
    dark=".bar { fill: #6e7681 }\n  .ours { fill: #4493f8 }",
)


@dataclass(frozen=True, slots=True)
class Row:
    label: str
    value: Estimate
    ours: bool = False


def bar_chart(title: str, unit: str, rows: Sequence[Row]) -> str:
    """A bar for each row, on a logarithmic axis: contenders differ by orders of magnitude. Values are above zero."""
    low = math.floor(min(_power(row.value.low) for row in rows))
    high = max(low + 1, math.ceil(max(_power(row.value.high) for row in rows)))

    def across(value: float) -> float:
        return _LAYOUT.left + _LAYOUT.plot * (_power(value) - low) / (high - low)

    sheet = Sheet(_LAYOUT, title, f"{unit}, logarithmic", _LAYOUT.row * len(rows))
    for power in range(low, high + 1):
        sheet.tick(across(10.0**power), f"{10.0**power:,g}")
    for index, row in enumerate(rows):
        sheet.bar(index, row.label, f'class="{"ours" if row.ours else "bar"}"', row.value, across)
    return sheet.svg()


def _power(value: float) -> float:
    """Of ten."""
    return math.log10(max(value, 1e-9))
