"""The share of the last hour, by a clock of the test's own."""

from __future__ import annotations

from gpulockd.http.success_rate import STEP, WINDOW, SuccessRate


def test_nothing_attempted_is_nothing_failed() -> None:
    assert SuccessRate().recent(0, 0) == 1.0


def test_what_happened_before_the_first_look_counts() -> None:
    assert SuccessRate().recent(3, 4) == 0.75


def test_what_is_older_than_an_hour_does_not_count() -> None:
    success = SuccessRate()
    success.note(0, 0, 10)
    for minute in range(1, int(WINDOW / STEP) + 1):
        success.note(minute * STEP, 5, 15)
    assert success.recent(5, 15) == 1.0, "the ten failures are of an hour ago, the five successes are not"
    assert success.recent(5, 20) == 0.5
    success.note(WINDOW + STEP, 5, 15)
    assert success.recent(5, 15) == 1.0
    assert success.recent(5, 16) == 0.0, "in the last hour there was one attempt, and it failed"


def test_looks_within_a_minute_are_one() -> None:
    success = SuccessRate()
    success.note(0, 0, 0)
    for second in range(1, 1000):
        success.note(second, second, second)
    assert len(success._marks) <= 2 + 1000 / STEP
