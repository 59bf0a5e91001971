"""Who has the candidate, what counts as harm, and what may follow what."""

from __future__ import annotations

import itertools

import pytest

from gpulockd.core.canary import CANDIDATE, STABLE, TRANSITIONS, Course, Outcomes, Step, Thresholds, harm, variant_of
from gpulockd.core.settings import Settings, Trial

KEYS = [f"session {number}" for number in range(20_000)]
BARS = Thresholds(timeouts=0.05, failures=0.10, redis_cpu=0.80, min_requests=40)


def having(percent: float, canary: str = "c1") -> set[str]:
    return {key for key in KEYS if variant_of(canary, percent, key) == CANDIDATE}


@pytest.mark.parametrize("percent", [0.5, 10, 50])
def test_the_share_is_what_was_asked_for(percent: float) -> None:
    expected = len(KEYS) * percent / 100
    assert abs(len(having(percent)) - expected) < 5 * expected**0.5


def test_who_has_it_keeps_it_at_every_higher_percentage() -> None:
    stages = [having(percent) for percent in (1, 10, 50, 100)]
    assert all(lower < higher for lower, higher in itertools.pairwise(stages))
    assert stages[-1] == set(KEYS)


def test_the_same_session_has_the_same_variant_each_time() -> None:
    assert having(10) == having(10)


def test_another_canary_picks_others() -> None:
    both = having(10, "c1") & having(10, "c2")
    assert len(both) < 0.2 * len(having(10, "c1"))


def test_a_trial_asks_by_its_own_name_and_share() -> None:
    trial = Trial("c1", 10, Settings())
    assert {key for key in KEYS[:1000] if trial.variant_of(key) == CANDIDATE} == having(10) & set(KEYS[:1000])
    assert {trial.variant_of(key) for key in KEYS[:1000]} == {STABLE, CANDIDATE}


def test_what_has_ended_stays_so() -> None:
    assert {course for course, _ in TRANSITIONS} == {Course.RUNNING}
    assert {step for _, step in TRANSITIONS} == set(Step)
    assert TRANSITIONS[Course.RUNNING, Step.HARM] is Course.ROLLED_BACK


@pytest.mark.parametrize(
    ("granted", "timed_out", "failed", "said"),
    [
        (100, 0, 0, None),
        (95, 5, 0, None),  # exactly at the bar
        (94, 6, 0, "6.0% of its requests timed out (of 100), and 5.0% may"),
        (90, 0, 10, None),
        (89, 0, 11, "11.0% of its requests failed (of 100), and 10.0% may"),
        (89, 4, 7, "11.0% of its requests failed (of 100), and 10.0% may"),
        (0, 39, 0, None),  # too few to judge by
        (0, 40, 0, "100.0% of its requests timed out (of 40), and 5.0% may"),
    ],
)
def test_harm_by_outcomes(granted: int, timed_out: int, failed: int, said: str | None) -> None:
    assert harm(Outcomes(granted, timed_out, failed), [], BARS) == said


@pytest.mark.parametrize(
    ("samples", "harmful"),
    [
        ([0.9, 0.9, 0.9], True),
        ([0.1, 0.9, 0.95, 0.9], True),
        ([0.9, 0.9], False),  # too few
        ([0.9, 0.1, 0.9], False),  # a moment
        ([0.8, 0.8, 0.8], False),  # exactly at the bar
    ],
)
def test_harm_by_what_redis_takes(samples: list[float], harmful: bool) -> None:
    assert (harm(Outcomes(granted=40), samples, BARS) is not None) is harmful
    assert harm(Outcomes(granted=39), samples, BARS) is None, "over a minimum of traffic"


def test_shares_of_nothing_are_nothing() -> None:
    assert (Outcomes().timeout_share, Outcomes().failure_share) == (0.0, 0.0)
