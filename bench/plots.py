"""Which plots there are, and what each shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.cells import Run
from bench.charts import Row, bar_chart
from bench.contenders import GPULOCK
from bench.figures import middle
from bench.placement import Placement


@dataclass(frozen=True, slots=True)
class Plot:
    name: str
    """Begins with the work's name."""
    title: str
    work: str
    case: str
    metric: str
    unit: str
    placement: Placement = "free"


PLOTS: Sequence[Plot] = (
    Plot("uncontended-free", "An uncontended cycle, free placement", "uncontended", "one client", "p50_us", "µs"),
    Plot(
        "uncontended-one-core",
        "An uncontended cycle, on one core",
        "uncontended",
        "one client",
        "p50_us",
        "µs",
        "one core",
    ),
)


def draw(run: Run, folder: Path) -> list[str]:
    """Writes those for which there are figures; returns their names."""
    drawn = []
    for plot in PLOTS:
        rows = [
            Row(contender, middle(values), ours=contender.startswith(GPULOCK))
            for contender in dict.fromkeys(sample.contender for sample in run.samples)
            if (values := run.values(plot.work, plot.case, plot.placement, contender, plot.metric))
        ]
        if rows:
            chart = bar_chart(f"{plot.title}: median, less is better", plot.unit, rows)
            (folder / f"{plot.name}.svg").write_text(chart)
            drawn.append(plot.name)
    return drawn
