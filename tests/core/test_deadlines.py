"""The heap of timers."""

from __future__ import annotations

import math

from hypothesis import HealthCheck, given, settings, strategies as st

from gpulockd.core.deadlines import Alarm, Deadlines

# Two busy cores say nothing about the code.
UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
SUBJECTS = st.sampled_from("abcdef")
STEPS = st.lists(st.tuples(SUBJECTS, st.one_of(st.none(), st.floats(0, 100))), max_size=300)


@UNHURRIED
@given(STEPS, st.floats(0, 100))
def test_it_rings_what_was_set_last_and_was_not_cleared(steps: list[tuple[str, float | None]], now: float) -> None:
    deadlines, expected = Deadlines(), dict[str, float]()
    for subject, at in steps:
        if at is None:
            deadlines.clear(Alarm.WAIT_END, subject)
            expected.pop(subject, None)
        else:
            deadlines.set(Alarm.WAIT_END, subject, at)
            expected[subject] = at
        assert deadlines.next() == min(expected.values(), default=None)
        assert deadlines.get(Alarm.WAIT_END, subject) == expected.get(subject)
    due = [subject for _, subject in deadlines.due(now)]
    assert sorted(due) == sorted(subject for subject, at in expected.items() if at <= now)
    assert due == sorted(due, key=lambda subject: (expected[subject], subject))
    assert len(deadlines) == len(expected) - len(due)


def test_what_forbids_rings_before_what_allows() -> None:
    deadlines = Deadlines()
    deadlines.set(Alarm.LEASE_RENEW, "", 5.0)
    deadlines.set(Alarm.LEASE_DEGRADED, "", 5.0)
    assert [alarm for alarm, _ in deadlines.due(5.0)] == [Alarm.LEASE_DEGRADED, Alarm.LEASE_RENEW]


def test_infinity_never_rings_and_takes_back_what_was_set() -> None:
    deadlines = Deadlines()
    deadlines.set(Alarm.AGE, "a", 5.0)
    deadlines.set(Alarm.AGE, "a", math.inf)
    assert deadlines.next() is None
    assert list(deadlines.due(1e12)) == []


def test_moving_a_deadline_again_and_again_costs_no_memory() -> None:
    deadlines = Deadlines()
    for at in range(10_000):
        deadlines.set(Alarm.AGE, "a", float(at))
    assert len(deadlines._heap) < 200


def test_one_that_rings_may_set_another() -> None:
    deadlines = Deadlines()
    deadlines.set(Alarm.WAIT_END, "a", 1.0)
    rung = []
    for _, subject in deadlines.due(2.0):
        rung.append(subject)
        if subject == "a":
            deadlines.set(Alarm.WAIT_END, "b", 1.5)
    assert rung == ["a", "b"]
