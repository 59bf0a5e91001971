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
from bench.works import crash, grants, handover, idle, startup, together, uncontended


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


_GAP = handover.case(8, 0)
# fmt: off
PLOTS: Sequence[Plot] = (
    Plot("uncontended-free", "An uncontended cycle, free placement", "uncontended", uncontended.CASE, "p50_us", "µs"),
    Plot("uncontended-one-core",
         "An uncontended cycle, on one core", "uncontended", uncontended.CASE, "p50_us", "µs", "one core"),
    Plot("handover-gap", "Handover gap of 8 processes, hold 0", "handover", _GAP, "gap_p50_ms", "ms"),
    Plot("handover-wait", "Longest wait of 32 processes, hold 5 ms",
         "handover", handover.case(32, 5), "longest_wait_ms", "ms"),
    Plot("together", "8 at once, 20 ms each: all of it", "together", together.CASE, "took_ms", "ms"),
    Plot("crash-next", "SIGKILL of the holder to the next grant", "crash", crash.SMALL, "p50_ms", "ms"),
    Plot("crash-expiry", "The same, where a lock has to expire", "crash", crash.EXPIRY, "p50_ms", "ms"),
    Plot("idle-memory", "Memory of the server for each of 1,000 waiters", "idle", idle.case(1_000), "kib_each", "KiB"),
    Plot("grants-drain", grants.DRAIN, "grants", grants.DRAIN, "ms", "ms"),
    Plot("startup", "Commands that do one thing", "startup", startup.ONCE, "ms", "ms"),
)
# fmt: on


def draw(run: Run, folder: Path) -> list[str]:
    """Writes those for which there are figures; returns their names."""
    drawn = []
    for plot in PLOTS:
        rows = [
            Row(contender, middle(list(values.values())), ours=contender.startswith(GPULOCK))
            for contender in dict.fromkeys(sample.contender for sample in run.samples)
            if (values := run.values(plot.work, plot.case, plot.placement, contender, plot.metric))
        ]
        if rows:
            chart = bar_chart(f"{plot.title}: median, less is better", plot.unit, rows)
            (folder / f"{plot.name}.svg").write_text(chart)
            drawn.append(plot.name)
    return drawn
