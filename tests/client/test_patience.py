"""How long a wait goes on without a daemon."""

from __future__ import annotations

import itertools

import pytest

from gpulock.clock import SOON, Retry
from gpulock.errors import LockTimeout
from gpulock.patience import LEAST, SLACK, Patience


def time_until_it_gives_up(patience: Patience, moment: float) -> float:
    """Seconds from `moment` on that are spent in pauses."""
    began = moment
    for _ in range(10_000):
        if (pause := patience.pause(moment)) is None:
            return moment - began
        moment += pause
    raise AssertionError("it never gives up")


def test_pauses_grow_by_half_up_to_the_interval_and_then_double() -> None:
    pauses = list(itertools.islice(Retry(2.0, 10.0, exponential=True).pauses(), 30))
    assert pauses[0] == pytest.approx(0.05)
    at_interval = pauses.index(2.0)
    soon = pauses[: at_interval + 1]
    assert all(later == pytest.approx(min(1.5 * pause, 2.0)) for pause, later in itertools.pairwise(soon))
    assert pauses[at_interval : at_interval + 5] == [2.0, 4.0, 8.0, 10.0, 10.0]


def test_while_something_is_kept_pauses_are_short_and_then_as_ever() -> None:
    pauses = list(itertools.islice(Retry(2.0, 10.0, exponential=True).pauses(60.0), 150))
    paused = list(itertools.accumulate(pauses))
    kept = [pause for pause, at in zip(pauses[1:], paused, strict=False) if at < 60.0]
    assert max(kept) == SOON
    assert len(kept) > 60 / SOON
    assert pauses[len(kept) + 1 :][:6] == [0.75, 1.125, 1.6875, 2.0, 4.0, 8.0]
    assert pauses[-1] == 10.0


def test_a_shorter_interval_is_kept_all_the_same() -> None:
    assert set(itertools.islice(Retry(0.02, 0.02).pauses(60.0), 50)) == {0.02}


def test_pauses_stay_at_the_interval_where_they_are_not_exponential() -> None:
    assert list(itertools.islice(Retry(2.0, 10.0, exponential=False).pauses(), 30))[-10:] == [2.0] * 10


def test_a_short_interval_is_kept_from_the_first_pause_on() -> None:
    assert list(itertools.islice(Retry(0.02, 0.02).pauses(), 3)) == [0.02] * 3


@pytest.mark.parametrize(
    ("wait", "unavailable_timeout", "at_most"),
    [(None, 5.0, 5.0), (60.0, 5.0, 5.0), (1.0, 5.0, 1.0), (0.0, 5.0, 0.0), (None, 0.0, 0.0)],
)
def test_a_daemon_that_was_never_there(wait: float | None, unavailable_timeout: float, at_most: float) -> None:
    took = time_until_it_gives_up(Patience(wait, unavailable_timeout, 100.0), 100.0)
    assert at_most * 0.6 <= took <= at_most


def test_a_daemon_that_went_away_is_waited_for_as_long_as_the_request_may_wait() -> None:
    patience = Patience(60.0, 0.0, 100.0)
    patience.heard(110.0, max_wait=1800.0, retry=Retry())
    assert 47 < time_until_it_gives_up(patience, 110.0) <= 50


def test_a_daemon_that_keeps_a_place_is_looked_for_often() -> None:
    patience = Patience(600.0, 0.0, 100.0)
    patience.heard(110.0, max_wait=1800.0, retry=Retry(), grace=60.0)
    assert max(patience.pause(111.0) or 0.0 for _ in range(60)) == SOON


def test_where_the_daemon_decides_on_the_wait_its_own_is_taken() -> None:
    patience = Patience(None, 5.0, 100.0)
    patience.heard(110.0, max_wait=30.0, retry=Retry())
    assert 27 < time_until_it_gives_up(patience, 110.0) <= 30


def test_what_is_left_of_the_wait() -> None:
    patience = Patience(60.0, 5.0, 100.0)
    assert patience.left(130.0) == 30.0
    assert patience.until == 160.0 + SLACK
    assert Patience(None, 5.0, 100.0).left(130.0) is None
    assert Patience(None, 5.0, 100.0).until is None


def test_a_daemon_that_says_nothing_is_a_timeout() -> None:
    error = Patience(1.0, 5.0, 100.0).silence(106.0)
    assert isinstance(error, LockTimeout)
    assert "6.0 s" in error.message
    assert error.hint


def test_a_wait_that_is_over_does_not_become_none() -> None:
    """The daemon answers `busy` to who does not wait, and `wait-timeout` to who has waited."""
    patience = Patience(1.0, 5.0, 100.0)
    assert patience.left(100.25) == 0.75
    assert patience.left(102.0) == LEAST
    assert Patience(0.0, 5.0, 100.0).left(102.0) == 0.0
    assert Patience(None, 5.0, 100.0).left(102.0) is None


def test_a_daemon_that_accepts_and_goes_again_is_not_looked_for_ever_more_rarely() -> None:
    patience = Patience(None, 1000.0, 100.0)
    for _ in range(20):
        patience.pause(100.0)
    assert patience.pause(100.0) == Retry().longest
    patience.reached(Retry())
    assert patience.pause(100.0) == Retry().interval
    assert patience.pause(100.0) == Retry().longest
