"""From what was measured to figures at full scale, and to a verdict on the bars."""

from __future__ import annotations

import pytest

from gpulockd.evidence.bench.judgement import BARS, Answer, judge, verdict
from gpulockd.evidence.bench.outcomes import Block, Load, Outcome, figures_of, full_scale

from .blocks import rounds

MEASURED = Block("x", 0, 2.0, [Outcome("short", "done", 0.1, 0.4)], Load(requests=6, commands=12, cpu=0.02))


def test_what_polling_sends_belongs_to_its_tasks() -> None:
    """A tenth of the time: six requests in two seconds would be six in twenty; what Redis does by itself, ten times."""
    whole = full_scale(MEASURED, "polling", 0.1, idle_cpu=0.001)
    assert (whole.took, whole.outcomes[0].waited, whole.outcomes[0].total) == pytest.approx((20, 1, 4))
    assert whole.load is not None
    assert (whole.load.requests, whole.load.commands, whole.load.cpu) == pytest.approx((6, 12, 0.018 + 0.02))


def test_what_a_daemon_sends_belongs_to_the_clock() -> None:
    whole = full_scale(MEASURED, "daemon", 0.1, idle_cpu=0.001)
    assert whole.load is not None
    assert (whole.load.requests, whole.load.commands, whole.load.cpu) == pytest.approx((60, 120, 0.2))


def test_figures_are_of_all_rounds() -> None:
    figures = figures_of(rounds("x", 3.0, timeouts=1))
    assert figures.tasks == 100
    assert figures.wait is not None
    assert figures.wait.value == pytest.approx(3.0)
    assert figures.wait.low < 3.0 < figures.wait.high
    assert figures.per_hour is not None
    assert figures.per_hour.value == pytest.approx(19 * 360)
    assert (figures.success.value, figures.timeouts.value) == (0.95, 0.05)
    assert figures.requests is not None
    assert figures.requests.value == pytest.approx(1.0)
    assert figures_of(rounds("x", 3.0, redis=False)).cpu is None


@pytest.mark.parametrize(
    ("bar", "blocks", "answer"),
    [
        ("wait", rounds("x", 6.0), "met"),
        ("wait", rounds("x", 6.9), "met"),
        ("wait", rounds("x", 7.1), "missed"),
        ("wait", [*rounds("x", 2.0)[:3], *rounds("x", 12.0)[3:]], "undecided"),
        ("redis-requests", rounds("x", 1, requests=14.9), "met"),
        ("redis-requests", rounds("x", 1, requests=15.1), "missed"),
        ("redis-cpu", rounds("x", 1, cpu=0.016), "missed"),
        ("redis-cpu", rounds("x", 1, redis=False), "not measured"),
        ("success", rounds("x", 1), "met"),
        ("success", rounds("x", 1, timeouts=1), "undecided"),
        ("success", rounds("x", 1, timeouts=3), "missed"),
        ("timeouts", rounds("x", 1), "met"),
        ("timeouts", rounds("x", 1, timeouts=3), "missed"),
    ],
)
def test_each_bar_is_met_or_missed_for_sure_or_undecided(bar: str, blocks: list[Block], answer: Answer) -> None:
    answers = {each.bar.name: each.answer for each in judge(blocks, rounds("base", 10.0))}
    assert answers[bar] == answer
    assert list(answers) == [each.name for each in BARS]


def test_a_variant_passes_by_all_bars_and_those_of_redis_need_a_redis() -> None:
    base, bare = rounds("base", 10.0), rounds("base", 10.0, redis=False)
    assert verdict(judge(rounds("x", 3.0), base)) == "passed"
    assert verdict(judge(rounds("x", 3.0, cpu=0.1), base)) == "not passed"
    assert verdict(judge(rounds("x", 3.0, redis=False), bare)) == "passed"
    assert verdict(judge(rounds("x", 9.0, redis=False), bare)) == "not passed"


def test_only_rounds_that_both_were_in_are_compared() -> None:
    worse_later = [*rounds("x", 3.0)[:3], *rounds("x", 99.0)[3:]]
    [wait, *_] = judge(worse_later, rounds("base", 10.0)[:3])
    assert wait.estimate is not None
    assert wait.estimate.value == pytest.approx(0.3)
