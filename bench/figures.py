"""From rounds to figures: medians, and ratios within rounds, with confidence intervals. Pure."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Mapping, Sequence

from gpulockd.evidence.statistics import CONFIDENCE, Estimate, quantile

RESAMPLES = 2000


def middle(values: Sequence[float]) -> Estimate:
    """The median of rounds, with a bootstrap interval. The same values always give the same interval."""
    return _bootstrap(values, statistics.median)


def ratio(ours: Mapping[int, float], theirs: Mapping[int, float]) -> Estimate | None:
    """The median, over the rounds that both were measured in, of ours divided by theirs; None where that is nothing.

    Within a round the machine was the same for both, whatever it was in the next one.
    """
    shares = [ours[number] / theirs[number] for number in sorted(ours) if theirs.get(number)]
    return _bootstrap(shares, statistics.median) if shares else None


def _bootstrap(values: Sequence[float], figure: Callable[[Sequence[float]], float]) -> Estimate:
    if not values:
        raise ValueError("no rounds, so no figure")
    value = figure(values)
    if len(values) == 1:
        return Estimate(value, value, value)
    draw = random.Random(len(values))
    drawn = [figure(draw.choices(values, k=len(values))) for _ in range(RESAMPLES)]
    tail = (1 - CONFIDENCE) / 2
    return Estimate(value, quantile(drawn, tail), quantile(drawn, 1 - tail))
