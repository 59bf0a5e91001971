"""Estimates and tests, against tables, against exact counts, and against what they promise on simulated data."""

from __future__ import annotations

import math
import random

import pytest

from gpulockd.evidence.statistics import (
    Block,
    Estimate,
    Portion,
    arrangements,
    holm,
    permuted,
    quantile,
    ratio,
    share,
    standardised,
    student,
)


@pytest.mark.parametrize(
    ("freedom", "confidence", "t"),
    [(1, 0.95, 12.706), (2, 0.95, 4.303), (5, 0.95, 2.571), (10, 0.95, 2.228), (9, 0.99, 3.250), (120, 0.95, 1.980)],
)
def test_students_t_is_that_of_the_tables(freedom: int, confidence: float, t: float) -> None:
    assert student(freedom, confidence) == pytest.approx(t, abs=6e-4)


def test_quantiles_lie_between_neighbours() -> None:
    assert [quantile([3, 1, 2], at) for at in (0, 0.25, 0.5, 1)] == [1, 1.5, 2, 3]
    assert quantile([5], 0.99) == 5
    assert quantile(range(101), 0.99) == pytest.approx(99)
    with pytest.raises(ValueError, match="no values"):
        quantile([], 0.5)


def test_a_ratio_of_sums_has_the_interval_of_the_jackknife() -> None:
    """With equal sizes it is the interval of a mean: 2 and Student's t of 2 times 1 by the root of 3."""
    found = ratio([Portion(1, 1), Portion(2, 1), Portion(3, 1)])
    assert found == pytest.approx(Estimate(2, max(0, 2 - 4.3027 / math.sqrt(3)), 2 + 4.3027 / math.sqrt(3)), abs=1e-3)


def test_one_round_says_nothing_of_its_error() -> None:
    assert ratio([Portion(4, 2)]) == Estimate(2, 0, math.inf)
    assert ratio([Portion(4, 0)]) is None


def test_an_interval_of_a_ratio_holds_the_truth_as_often_as_it_says() -> None:
    chance = random.Random(7)
    held = 0
    for _ in range(400):
        rounds = [(chance.gammavariate(4, 0.5), chance.uniform(0.8, 1.2)) for _ in range(8)]
        found = ratio([Portion(0.5 * size * noise / 2, size) for noise, size in rounds])
        assert found is not None
        held += found.low <= 0.5 <= found.high
    assert 0.91 <= held / 400 <= 0.98


def test_shares_of_nothing_and_of_everything_are_not_certain() -> None:
    assert share(0, 73) == pytest.approx(Estimate(0, 0, 0.05), abs=1e-4)
    assert share(5, 5).low == pytest.approx(0.566, abs=1e-3)
    assert share(0, 0) == Estimate(0, 0, 1)


def blocks(before: list[float], after: list[float], stratum: str = "") -> list[Block]:
    return [Block(stratum, False, total, 1) for total in before] + [Block(stratum, True, total, 1) for total in after]


def test_every_arrangement_is_counted() -> None:
    """Of the 20 ways to choose three of six, two are as extreme as three smaller and three larger ones."""
    assert permuted(blocks([1, 2, 3], [4, 5, 6])) == pytest.approx(2 / 20)
    assert arrangements(blocks([1, 2, 3], [4, 5, 6])) == 20
    assert permuted(blocks([1, 1, 1], [1, 1, 1])) == 1


def test_strata_are_compared_each_for_itself() -> None:
    """Weekends differ from workdays by far more than the change does, and hide nothing."""
    week = blocks([10, 11, 12, 10, 11], [13, 14, 15, 13, 14], "workday") + blocks([1, 2], [4, 5], "weekend")
    one_heap = [block._replace(stratum="") for block in week]
    assert permuted(week) < 0.01 < 0.2 < permuted(one_heap)
    assert arrangements(week) == math.comb(10, 5) * math.comb(4, 2)


def test_many_arrangements_are_drawn_from_and_always_the_same_ones() -> None:
    chance = random.Random(1)
    many = blocks([chance.gauss(10, 1) for _ in range(40)], [chance.gauss(10, 1) for _ in range(40)])
    assert arrangements(many) > 1e9
    assert permuted(many) == permuted(many) > 0.05
    moved = [block._replace(total=block.total + 2 * block.after) for block in many]
    assert permuted(moved) == pytest.approx(1 / 2001)


def test_a_standardised_ratio_weighs_strata_alike_on_both_sides() -> None:
    """Twice as long everywhere is twice as long, though there are more weekends after than before."""
    found = standardised(
        blocks([10, 10, 10], [20, 20], "workday") + blocks([1, 1], [2, 2, 2, 2, 2, 2], "weekend"),
    )
    assert found == pytest.approx(Estimate(2, 2, 2))
    assert standardised(blocks([0, 0], [1, 1])) is None


def test_several_tests_are_corrected_by_holm() -> None:
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx({"a": 0.03, "c": 0.06, "b": 0.06})
