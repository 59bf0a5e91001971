"""Charts as SVG that read well on light and dark pages alike. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

from ..statistics import Estimate, quantile

_LEFT, _PLOT, _RIGHT, _TOP, _BOTTOM = 130, 440, 110, 44, 34
_ROW, _HEIGHT = 28, 220
_STEPS = 5
_SEEN = 0.95
"""The share of the most spread values that a chart of shares is wide enough for."""
_COLOURS = ("#8c959f", "#bf8700", "#8250df", "#1f6feb", "#1a7f37", "#cf222e")
_STYLE = """
text { font: 13px system-ui, sans-serif; fill: #24292f }
.title { font-weight: 600 } .axis { font-size: 11px; fill: #57606a }
.grid { stroke: #d0d7de } .whisker { stroke: #24292f; stroke-width: 1.5 } .line { fill: none; stroke-width: 2 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .axis { fill: #9198a1 } .grid { stroke: #3d444d } .whisker { stroke: #e6edf3 }
}"""


class Bar(NamedTuple):
    label: str
    estimate: Estimate


def bar_chart(title: str, unit: str, bars: Sequence[Bar]) -> str:
    """A bar for each, from zero, with its confidence interval as a whisker."""
    most = _rounded_up(max((_end(bar.estimate) for bar in bars), default=1.0))
    bottom = _TOP + _ROW * len(bars)

    def across(value: float) -> float:
        return _LEFT + _PLOT * min(value, most) / most

    parts = _head(title, unit, bottom + _BOTTOM) + _grid(most, bottom, unit)
    for index, (label, estimate) in enumerate(bars):
        y, end = _TOP + _ROW * index, across(estimate.value)
        colour = _COLOURS[index % len(_COLOURS)]
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 17}" text-anchor="end">{escape(label)}</text>')
        parts.append(
            f'<rect fill="{colour}" x="{_LEFT}" y="{y + 3}" width="{max(1.0, end - _LEFT):.1f}" height="{_ROW - 8}"/>'
        )
        low, high = across(estimate.low), across(_end(estimate))
        parts.append(f'<line class="whisker" x1="{low:.1f}" x2="{high:.1f}" y1="{y + 13}" y2="{y + 13}"/>')
        parts.append(f'<text x="{max(end, high) + 8:.1f}" y="{y + 17}">{number(estimate.value)}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def share_chart(title: str, unit: str, values: Mapping[str, Sequence[float]]) -> str:
    """For each name a line: which share of its values is at most so large. The largest few lie beyond the edge."""
    most = _rounded_up(max((quantile(each, _SEEN) for each in values.values()), default=1.0))
    bottom = _TOP + _HEIGHT

    def point(value: float, share: float) -> str:
        return f"{_LEFT + _PLOT * value / most:.1f},{bottom - _HEIGHT * share:.1f}"

    parts = _head(title, unit, bottom + _BOTTOM) + _grid(most, bottom, unit)
    for share in (0.25, 0.5, 0.75, 1.0):
        y = bottom - _HEIGHT * share
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_LEFT + _PLOT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="axis" x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{share:.0%}</text>')
    for index, (name, each) in enumerate(values.items()):
        colour = _COLOURS[index % len(_COLOURS)]
        seen = sorted(value for value in each if value <= most)
        points = [point(0, 0)]
        for place, value in enumerate(seen):
            points += [point(value, place / len(each)), point(value, (place + 1) / len(each))]
        points.append(point(most, len(seen) / max(1, len(each))))
        parts.append(f'<polyline class="line" stroke="{colour}" points="{" ".join(points)}"/>')
        y = _TOP + 18 * index + 10
        parts.append(f'<rect fill="{colour}" x="{_LEFT + _PLOT + 12}" y="{y - 9}" width="10" height="10"/>')
        parts.append(f'<text x="{_LEFT + _PLOT + 28}" y="{y}">{escape(name)}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def number(value: float) -> str:
    """With three digits that mean something."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _head(title: str, unit: str, height: int) -> list[str]:
    width = _LEFT + _PLOT + _RIGHT
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img"',
        f' width="{width}" height="{height}" aria-label="{escape(title)}">',
        f"<style>{_STYLE}</style>",
        f'<text class="title" x="8" y="22">{escape(title)} ({escape(unit)})</text>',
    ]


def _grid(most: float, bottom: float, unit: str) -> list[str]:
    parts = []
    for step in range(_STEPS + 1):
        x, value = _LEFT + _PLOT * step / _STEPS, most * step / _STEPS
        parts.append(f'<line class="grid" x1="{x:.1f}" y1="{_TOP - 6}" x2="{x:.1f}" y2="{bottom}"/>')
        shown = f"{number(value)} {escape(unit)}" if step == _STEPS else number(value)
        parts.append(f'<text class="axis" x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{shown}</text>')
    return parts


def _end(estimate: Estimate) -> float:
    """Where its whisker ends; one that knows no end has none."""
    return estimate.high if math.isfinite(estimate.high) else estimate.value


def _rounded_up(value: float) -> float:
    """The next of 1, 2, 2.5, 5, 10 times a power of ten."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next((step * power for step in (1.0, 2.0, 2.5, 5.0) if value <= step * power), 10 * power)
