"""The sheet that charts are drawn on: an SVG that reads well on light and dark pages alike. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable
from html import escape
from typing import NamedTuple

from .statistics import Estimate
from .typeset import number

TOP = 44
"""What is above the plot: the title."""
_BELOW = 34
"""What is below it: the numbers of the axis."""
_GAP = 8
_STYLE = """
text {{ font: 13px system-ui, sans-serif; fill: #24292f }}
.title {{ font-weight: 600 }} .axis {{ font-size: 11px; fill: #57606a }}
.grid {{ stroke: #d0d7de }} {light} .whisker {{ stroke: #24292f; stroke-width: 1.5 }}
@media (prefers-color-scheme: dark) {{
  text {{ fill: #e6edf3 }} .axis {{ fill: #9198a1 }} .grid {{ stroke: #3d444d }} {dark} .whisker {{ stroke: #e6edf3 }}
}}"""


class Layout(NamedTuple):
    """What charts of one kind have in common. Lengths are pixels."""

    left: int
    """For names, beside the plot."""
    plot: int
    right: int
    """For what stands beyond its end."""
    row: int = 26
    """How high each row of a bar chart is."""
    light: str = ""
    """CSS of the chart's own classes, on light pages."""
    dark: str = ""


class Sheet:
    """A title, a plot below it, and whatever is drawn there, in this order. Coordinates are the SVG's own."""

    def __init__(self, layout: Layout, title: str, remark: str, height: int) -> None:
        """`remark` follows the title in brackets; `height` is the plot's."""
        self._layout = layout
        self.bottom = TOP + height
        width, whole = layout.left + layout.plot + layout.right, self.bottom + _BELOW
        self._parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {whole}" role="img"',
            f' width="{width}" height="{whole}" aria-label="{escape(title)}">',
            f"<style>{_STYLE.format(light=layout.light, dark=layout.dark)}</style>",
            f'<text class="title" x="8" y="22">{escape(title)} ({escape(remark)})</text>',
        ]

    def draw(self, *parts: str) -> None:
        """Elements of SVG."""
        self._parts += parts

    def tick(self, x: float, text: str) -> None:
        """A line of the grid from top to bottom, and what it stands for."""
        self.draw(
            f'<line class="grid" x1="{x:.1f}" y1="{TOP - 6}" x2="{x:.1f}" y2="{self.bottom}"/>',
            f'<text class="axis" x="{x:.1f}" y="{self.bottom + 16}" text-anchor="middle">{escape(text)}</text>',
        )

    def bar(self, index: int, label: str, paint: str, estimate: Estimate, across: Callable[[float], float]) -> None:
        """A row: a bar with its confidence interval as a whisker, which one that knows no end does not have.

        `paint` is the attribute that gives it its colour, `across` tells where on the axis a value lies.
        """
        left, row = self._layout.left, self._layout.row
        y, end = TOP + row * index, across(estimate.value)
        low = across(estimate.low)
        high = across(estimate.high) if math.isfinite(estimate.high) else end
        self.draw(
            f'<text x="{left - _GAP}" y="{y + 15}" text-anchor="end">{escape(label)}</text>',
            f'<rect {paint} x="{left}" y="{y + 2}" width="{max(end - left, 1):.1f}" height="{row - 8}"/>',
            f'<line class="whisker" x1="{low:.1f}" x2="{high:.1f}" y1="{y + 11}" y2="{y + 11}"/>',
            f'<text x="{max(end, high) + _GAP:.1f}" y="{y + 15}">{number(estimate.value)}</text>',
        )

    def svg(self) -> str:
        return "\n".join([*self._parts, "</svg>"]) + "\n"
