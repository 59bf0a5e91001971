"""Whether a change moved anything: planted changes are found, and where nothing was changed nothing is found."""

from __future__ import annotations

import pytest

from gpulockd.evidence.impact import DAY, HOUR, QUARTER, TooLittle
from gpulockd.evidence.recorded import BadHistory, Record, Recorded, read

from .calibration import directions, found_in, impact
from .past import CHANGE, simulated

HISTORIES = 200
AT_MOST_BY_CHANCE = 18
"""Of so many histories, 10 are expected to be called changed that are not; more than this is less than 1 % probable."""


@pytest.mark.slow
def test_waits_that_are_a_fifth_longer_are_found_and_in_shuffled_history_nothing_is() -> None:
    found = found_in(range(HISTORIES))
    assert found.planted >= 0.95 * HISTORIES
    assert found.by_chance <= AT_MOST_BY_CHANCE


def test_nothing_is_found_where_nothing_was_changed_though_hours_and_days_hang_together() -> None:
    """What a test of single requests would get wrong: they depend on each other."""
    assert sum(bool(directions(impact(simulated(9_000 + seed)))) for seed in range(40)) <= 6


def test_a_change_that_made_waits_longer_is_to_be_rolled_back() -> None:
    found = impact(simulated(3, worse=1.5))
    assert (found.advice, directions(found)) == ("roll back", {"wait": "up"})
    wait = found.moved[0]
    assert wait.change is not None
    assert wait.change.low < 1.5 < wait.change.high
    assert (found.block, found.blocks_before, found.blocks_after) == (DAY, 7, 7)


def test_more_timeouts_are_a_reason_too() -> None:
    found = impact(simulated(4, in_vain=(0.02, 0.06)))
    assert (found.advice, directions(found)) == ("roll back", {"timeouts": "up"})


def test_a_change_that_made_waits_shorter_is_kept() -> None:
    assert impact(simulated(5, worse=0.6)).advice == "keep"


def test_longer_waits_under_more_work_say_nothing_of_the_change() -> None:
    found = impact(simulated(6, worse=1.3, busier=1.5))
    assert (found.advice, directions(found)) == ("undecided", {"wait": "up", "throughput": "up"})


def test_timeouts_are_not_spoken_of_where_they_are_not_recorded() -> None:
    locks = [each for each in simulated(7).records if each.held is not None]
    assert [each.name for each in impact(Recorded(locks, knows_timeouts=False)).moved] == ["wait", "hold", "throughput"]


@pytest.mark.parametrize(("days", "block"), [(2.0, QUARTER), (1.0, HOUR)])
def test_blocks_are_as_long_as_what_there_is_allows(days: float, block: float) -> None:
    thursday = CHANGE + 3 * DAY
    assert impact(simulated(8), at=thursday, before=days * DAY, after=days * DAY).block == block


def test_a_weekend_is_not_compared_with_workdays() -> None:
    with pytest.raises(TooLittle, match="workdays"):
        impact(simulated(8), before=2 * DAY, after=2 * DAY)


def test_a_change_a_moment_ago_cannot_be_judged() -> None:
    with pytest.raises(TooLittle, match="too few hours"):
        impact(simulated(8), now=CHANGE + HOUR)
    with pytest.raises(TooLittle, match="before the change"):
        impact(Recorded([], knows_timeouts=True))
    with pytest.raises(TooLittle, match="after the change"):
        impact(simulated(8), now=CHANGE - HOUR)


def test_who_asked_before_the_change_and_was_done_after_it_is_on_neither_side() -> None:
    history = simulated(10)
    long_wait = Record(CHANGE + HOUR, waited=2 * HOUR + 1, held=60.0)
    with_it = Recorded([*history.records, long_wait], knows_timeouts=True)
    assert impact(with_it).moved == impact(history).moved


def lock(token: int, **others: object) -> dict[str, object]:
    return {"token": token, "ended_at": 50.0, "waited": 3.0, "held": 7.0, **others}


def test_pages_of_history_are_read_each_lock_once() -> None:
    page = {"schema_version": 1, "locks": [lock(1), lock(2)], "requests": []}
    gave_up = {"request": "R1", "how": "timeout", "ended_at": 60.0, "waited": 30.0}
    others = {"locks": [lock(2), lock(3)], "requests": [gave_up, {**gave_up, "request": "R2", "how": "cancelled"}]}
    history = read([page, others])
    assert history.knows_timeouts
    assert history.records == [*[Record(50.0, 3.0, 7.0)] * 3, Record(60.0, 30.0, None)]
    assert not read([{"locks": [lock(1)]}]).knows_timeouts


@pytest.mark.parametrize("document", [{}, [], {"locks": 3}, {"locks": [{}]}, {"locks": [lock(1, waited="long")]}])
def test_what_is_no_history_is_refused(document: dict[str, object]) -> None:
    with pytest.raises(BadHistory, match="history --json"):
        read([document])
