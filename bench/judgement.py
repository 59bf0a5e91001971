"""The verdict of a run on the bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rich.console import Console
from rich.table import Table

from bench.bars import Bar
from bench.cells import Run
from bench.figures import middle, ratio
from gpulockd.evidence.statistics import Estimate

Verdict = Literal["met", "met, within the noise", "missed, within the noise", "missed", "not measured"]


@dataclass(frozen=True, slots=True)
class Judgement:
    bar: Bar
    limit: float
    estimate: Estimate | None
    """None: not measured."""

    @property
    def verdict(self) -> Verdict:
        if self.estimate is None:
            return "not measured"
        good = self._keeps(self.estimate.value)
        sure = good == self._keeps(self.estimate.low) == self._keeps(self.estimate.high)
        if good:
            return "met" if sure else "met, within the noise"
        return "missed" if sure else "missed, within the noise"

    @property
    def kept(self) -> bool:
        return self.estimate is not None and self._keeps(self.estimate.value)

    @property
    def broken(self) -> bool:
        """Whether not even its better rounds keep it: what fails a quick run, whose machine others use too."""
        return self.verdict in ("missed", "not measured")

    @property
    def factor(self) -> float | None:
        """By how much it is met (above 1) or missed (below 1); None where that cannot be said."""
        if self.estimate is None or not self.estimate.value or not self.limit:
            return None
        share = self.estimate.value / self.limit
        return share if self.bar.sense == "at least" else 1 / share

    def _keeps(self, value: float) -> bool:
        return value >= self.limit if self.bar.sense == "at least" else value <= self.limit


def judge(run: Run, bar: Bar, *, generous: bool = False) -> Judgement:
    limit = bar.loose if generous and bar.loose is not None else bar.limit
    ours = run.values(bar.work, bar.case, bar.placement, bar.contender, bar.metric)
    if bar.against is None:
        return Judgement(bar, limit, middle(list(ours.values())) if ours else None)
    theirs = run.values(bar.work, bar.case, bar.placement, bar.against, bar.metric)
    return Judgement(bar, limit, ratio(ours, theirs))


def tell(console: Console, run: Run, judgements: Sequence[Judgement]) -> None:
    table = Table("bar", "limit", "measured", "verdict", box=None, pad_edge=False)
    for judgement in judgements:
        limit = f"{'≥' if judgement.bar.sense == 'at least' else '≤'} {shown(judgement.limit, judgement.bar.unit)}"
        table.add_row(judgement.bar.text, limit, estimated(judgement), judgement.verdict)
    console.print(table)
    for who, why in run.absences.items():
        console.print(f"NOT MEASURED: {who}: {why}", style="bold red", markup=False)


def estimated(judgement: Judgement) -> str:
    if (estimate := judgement.estimate) is None:
        return "–"
    unit = judgement.bar.unit
    return f"{shown(estimate.value, unit)} ({shown(estimate.low)} to {shown(estimate.high)})"


def shown(value: float, unit: str = "") -> str:
    """Three significant digits, never in E notation."""
    size = abs(value)
    digits = 0 if size >= 100 or value == int(value) else 1 if size >= 10 else 2 if size >= 1 else 3
    return f"{value:,.{digits}f}" + (f" {unit}" if unit else "")
