"""What reports are set in."""

from __future__ import annotations

import pytest

from gpulockd.evidence.typeset import number, rounded, table


def test_a_table_is_as_wide_as_its_head() -> None:
    assert table(("", "p50, s"), [("ours", "1"), ("theirs", "2")]).splitlines() == [
        "|  | p50, s |",
        "|---|---|",
        "| ours | 1 |",
        "| theirs | 2 |",
    ]


@pytest.mark.parametrize(
    ("value", "shown"), [(0, "0"), (0.0012345, "0.00123"), (12.345, "12.3"), (100, "100"), (12345.6, "12,346")]
)
def test_a_number_has_three_digits_that_mean_something(value: float, shown: str) -> None:
    assert number(value) == shown


def test_figures_are_cut_wherever_they_are_and_nothing_else_is() -> None:
    deep = {"took": 1.23456789, "tasks": [{"waited": 123456.789}, 7654321], "why": "1.23456789"}
    assert rounded(deep, 3) == {"took": 1.23, "tasks": [{"waited": 123000.0}, 7654321], "why": "1.23456789"}
