"""Medians and ratios of rounds, with their intervals."""

from __future__ import annotations

import random
import statistics

import pytest

from bench.figures import middle, ratio
from gpulockd.evidence.statistics import Estimate


def test_without_rounds_there_is_no_figure() -> None:
    with pytest.raises(ValueError, match="no rounds"):
        middle([])


def test_a_ratio_is_taken_within_each_round() -> None:
    """The machine is ten times slower in the second round, for both: that is no noise of the ratio."""
    assert ratio({0: 20, 1: 2, 2: 20}, {0: 10, 1: 1, 2: 10}) == Estimate(2, 2, 2)


def test_a_round_that_failed_for_one_counts_for_nobody() -> None:
    assert ratio({0: 20, 2: 30}, {0: 10, 1: 1}) == Estimate(2, 2, 2)
    assert ratio({0: 20}, {1: 10}) is None
    assert ratio({0: 20}, {0: 0}) is None


def test_the_interval_grows_with_the_noise_and_holds_the_median() -> None:
    chance = random.Random(7)
    calm = middle([chance.gauss(100, 1) for _ in range(15)])
    wild = middle([chance.gauss(100, 20) for _ in range(15)])
    assert calm.low <= calm.value <= calm.high
    assert wild.high - wild.low > 5 * (calm.high - calm.low)


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    chance = random.Random(11)
    intervals = [middle([chance.gauss(100, 10) for _ in range(11)]) for _ in range(100)]
    assert sum(each.low <= 100 <= each.high for each in intervals) >= 85


def test_the_same_values_give_the_same_interval() -> None:
    values = [1.0, 5.0, 2.0, 4.0]
    assert middle(values) == middle(values)
    assert middle(values).value == statistics.median(values)
