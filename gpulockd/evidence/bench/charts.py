"""Charts of variants, as SVG. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

from ..drawing import TOP, Layout, Sheet
from ..statistics import Estimate, quantile
from ..typeset import number

_LAYOUT = Layout(left=130, plot=440, right=110, light=".line { fill: none; stroke-width: 2 }")
_HEIGHT = 220
_STEPS = 5
_SEEN = 0.95
"""The share of the most spread values that a chart of shares is wide enough for."""
_COLOURS = ("#8c959f", "#bf8700", "#8250df", "#1f6feb", "#1a7f37", "#cf222e")


class Bar(NamedTuple):
    label: str
    estimate: Estimate


def bar_chart(title: str, unit: str, bars: Sequence[Bar]) -> str:
    """A bar for each, from zero, with its confidence interval as a whisker."""
    most = _rounded_up(max((_end(bar.estimate) for bar in bars), default=1.0))
    sheet = Sheet(_LAYOUT, title, unit, _LAYOUT.row * len(bars))
    _scale(sheet, most, unit)
    for index, (label, estimate) in enumerate(bars):
        sheet.bar(index, label, f'fill="{_colour(index)}"', estimate, lambda value: _across(min(value, most), most))
    return sheet.svg()


def share_chart(title: str, unit: str, values: Mapping[str, Sequence[float]]) -> str:
    """For each name a line: which share of its values is at most so large. The largest few lie beyond the edge."""
    most = _rounded_up(max((quantile(each, _SEEN) for each in values.values() if each), default=1.0))
    sheet = Sheet(_LAYOUT, title, unit, _HEIGHT)
    _scale(sheet, most, unit)

    def point(value: float, share: float) -> str:
        return f"{_across(value, most):.1f},{sheet.bottom - _HEIGHT * share:.1f}"

    left, right = _LAYOUT.left, _LAYOUT.left + _LAYOUT.plot
    for share in (0.25, 0.5, 0.75, 1.0):
        y = sheet.bottom - _HEIGHT * share
        sheet.draw(
            f'<line class="grid" x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>',
            f'<text class="axis" x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{share:.0%}</text>',
        )
    for index, (name, each) in enumerate(values.items()):
        seen = sorted(value for value in each if value <= most)
        points = [point(0, 0)]
        for place, value in enumerate(seen):
            points += [point(value, place / len(each)), point(value, (place + 1) / len(each))]
        points.append(point(most, len(seen) / max(1, len(each))))
        y = TOP + 18 * index + 10
        sheet.draw(
            f'<polyline class="line" stroke="{_colour(index)}" points="{" ".join(points)}"/>',
            f'<rect fill="{_colour(index)}" x="{right + 12}" y="{y - 9}" width="10" height="10"/>',
            f'<text x="{right + 28}" y="{y}">{escape(name)}</text>',
        )
    return sheet.svg()


def _scale(sheet: Sheet, most: float, unit: str) -> None:
    for step in range(_STEPS + 1):
        value = most * step / _STEPS
        sheet.tick(_across(value, most), f"{number(value)} {unit}" if step == _STEPS else number(value))


def _across(value: float, most: float) -> float:
    return _LAYOUT.left + _LAYOUT.plot * value / most


def _colour(index: int) -> str:
    return _COLOURS[index % len(_COLOURS)]


def _end(estimate: Estimate) -> float:
    """Where its whisker ends; one that knows no end has none."""
    return estimate.high if math.isfinite(estimate.high) else estimate.value


def _rounded_up(value: float) -> float:
    """The next of 1, 2, 2.5, 5, 10 times a power of ten."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next((step * power for step in (1.0, 2.0, 2.5, 5.0) if value <= step * power), 10 * power)
