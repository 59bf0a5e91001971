"""The share of the last hour, by a clock of the test's own."""

from __future__ import annotations

from gpulockd.http.recent import STEP, WINDOW, Recent


def test_nothing_attempted_is_nothing_failed() -> None:
    assert Recent().rate(0, 0) == 1.0


def test_what_happened_before_the_first_look_counts() -> None:
    assert Recent().rate(3, 4) == 0.75


def test_what_is_older_than_an_hour_does_not_count() -> None:
    recent = Recent()
    recent.note(0, 0, 10)
    for minute in range(1, int(WINDOW / STEP) + 1):
        recent.note(minute * STEP, 5, 15)
    assert recent.rate(5, 15) == 1.0, "the ten failures are of an hour ago, the five successes are not"
    assert recent.rate(5, 20) == 0.5
    recent.note(WINDOW + STEP, 5, 15)
    assert recent.rate(5, 15) == 1.0
    assert recent.rate(5, 16) == 0.0, "in the last hour there was one attempt, and it failed"


def test_looks_within_a_minute_are_one() -> None:
    recent = Recent()
    recent.note(0, 0, 0)
    for second in range(1, 1000):
        recent.note(second, second, second)
    assert len(recent._marks) <= 2 + 1000 / STEP
