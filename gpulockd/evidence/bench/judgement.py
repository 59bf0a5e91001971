"""What a variant has to show to be taken: four bars, each against the baseline or by itself. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ..statement import Verdict
from ..statistics import Estimate
from .outcomes import Block, against, cpu_of, figures_of, requests_of, wait_of

WAIT_DOWN, LOAD_UP, SUCCESS, TIMEOUTS = 0.30, 0.50, 0.95, 0.05

Sense: TypeAlias = Literal["at least", "at most"]
Answer: TypeAlias = Literal["met", "missed", "undecided", "not measured"]


@dataclass(frozen=True, slots=True)
class Bar:
    name: str
    text: str
    sense: Sense
    limit: float


BARS: Sequence[Bar] = (
    Bar("wait", f"wait for the lock down by at least {WAIT_DOWN:.0%}", "at most", 1 - WAIT_DOWN),
    Bar("redis-requests", f"requests to Redis up by less than {LOAD_UP:.0%}", "at most", 1 + LOAD_UP),
    Bar("redis-cpu", f"CPU of Redis up by less than {LOAD_UP:.0%}", "at most", 1 + LOAD_UP),
    Bar("success", f"at least {SUCCESS:.0%} of the tasks done", "at least", SUCCESS),
    Bar("timeouts", f"less than {TIMEOUTS:.0%} of the tasks timed out", "at most", TIMEOUTS),
)
_WITHOUT_REDIS = frozenset(("redis-requests", "redis-cpu"))


@dataclass(frozen=True, slots=True)
class Judgement:
    bar: Bar
    estimate: Estimate | None
    """None: not measured."""

    @property
    def answer(self) -> Answer:
        """Undecided where the limit lies within the confidence interval."""
        if self.estimate is None:
            return "not measured"
        low, high = self.estimate.low, self.estimate.high
        if self.bar.sense == "at most":
            return "met" if high <= self.bar.limit else "missed" if low > self.bar.limit else "undecided"
        return "met" if low >= self.bar.limit else "missed" if high < self.bar.limit else "undecided"


def judge(blocks: Sequence[Block], baseline: Sequence[Block]) -> list[Judgement]:
    """One for each bar."""
    figures = figures_of(blocks)
    has_load = all(block.load for block in (*blocks, *baseline))
    estimates: Mapping[str, Estimate | None] = {
        "wait": against(blocks, baseline, wait_of),
        "redis-requests": against(blocks, baseline, requests_of) if has_load else None,
        "redis-cpu": against(blocks, baseline, cpu_of) if has_load else None,
        "success": figures.success,
        "timeouts": figures.timeouts,
    }
    return [Judgement(bar, estimates[bar.name]) for bar in BARS]


def verdict(judgements: Sequence[Judgement]) -> Verdict:
    """Passed is what has met every bar for sure. Where there is no Redis, its bars do not stand in the way."""
    open_bars = [each for each in judgements if each.answer != "met"]
    excused = all(each.answer == "not measured" and each.bar.name in _WITHOUT_REDIS for each in open_bars)
    return "passed" if excused else "not passed"
