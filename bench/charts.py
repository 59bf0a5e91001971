"""Bar charts as SVG that read well on light and dark pages alike. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from bench.figures import Estimate

_LABELS, _BARS, _VALUES = 190, 400, 130
_HEIGHT, _TOP, _BOTTOM = 26, 44, 34

_STYLE = """
text { font: 13px system-ui, sans-serif; fill: #24292f }
.title { font-weight: 600 } .axis { font-size: 11px; fill: #57606a }
.grid { stroke: #d0d7de } .bar { fill: #8c959f } .ours { fill: #1f6feb } .whisker { stroke: #24292f; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .axis { fill: #9198a1 } .grid { stroke: #3d444d } .bar { fill: #6e7681 }
  .ours { fill: #4493f8 } .whisker { stroke: #e6edf3 }
}"""


@dataclass(frozen=True, slots=True)
class Row:
    label: str
    value: Estimate
    ours: bool = False


def bar_chart(title: str, unit: str, rows: Sequence[Row]) -> str:
    """A bar for each row, on a logarithmic axis: contenders differ by orders of magnitude. Values are above zero."""
    low = math.floor(min(math.log10(_positive(row.value.low)) for row in rows))
    high = math.ceil(max(math.log10(_positive(row.value.high)) for row in rows))
    high = max(high, low + 1)

    def across(value: float) -> float:
        return _LABELS + _BARS * (math.log10(_positive(value)) - low) / (high - low)

    width, height = _LABELS + _BARS + _VALUES, _TOP + _HEIGHT * len(rows) + _BOTTOM
    bottom = _TOP + _HEIGHT * len(rows)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img"',
        f' width="{width}" height="{height}" aria-label="{escape(title)}">',
        f"<style>{_STYLE}</style>",
        f'<text class="title" x="8" y="22">{escape(title)} ({escape(unit)}, logarithmic)</text>',
    ]
    for power in range(low, high + 1):
        x = across(10.0**power)
        parts.append(f'<line class="grid" x1="{x:.1f}" y1="{_TOP - 6}" x2="{x:.1f}" y2="{bottom}"/>')
        parts.append(f'<text class="axis" x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{10.0**power:,g}</text>')
    for index, row in enumerate(rows):
        y = _TOP + _HEIGHT * index
        end, kind = across(row.value.value), "ours" if row.ours else "bar"
        parts.append(f'<text x="{_LABELS - 8}" y="{y + 15}" text-anchor="end">{escape(row.label)}</text>')
        wide = max(end - _LABELS, 1)
        parts.append(f'<rect class="{kind}" x="{_LABELS}" y="{y + 2}" width="{wide:.1f}" height="{_HEIGHT - 8}"/>')
        parts.append(
            f'<line class="whisker" x1="{across(row.value.low):.1f}" x2="{across(row.value.high):.1f}"'
            f' y1="{y + 11}" y2="{y + 11}"/>'
        )
        after = max(end, across(row.value.high)) + 8
        parts.append(f'<text x="{after:.1f}" y="{y + 15}">{_number(row.value.value)}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _positive(value: float) -> float:
    return max(value, 1e-9)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
