"""An answer is good for a moment, by a clock of the test's own."""

from __future__ import annotations

from itertools import count

import pytest

from gpulockd.http.recently import MOST, Recently
from tests.support.clock import SetClock


def test_who_asks_the_same_within_a_moment_gets_the_same() -> None:
    clock, numbers = SetClock(), count()
    recently: Recently[int] = Recently(1.0, clock.now)
    assert [recently.get("a", numbers.__next__) for _ in range(3)] == [0, 0, 0]
    assert recently.get("b", numbers.__next__) == 1
    clock.uptime += 0.99
    assert recently.get("a", numbers.__next__) == 0
    clock.uptime += 0.01
    assert recently.get("a", numbers.__next__) == 2


def test_no_more_than_so_many_are_kept() -> None:
    recently: Recently[int] = Recently(1.0, SetClock().now)
    for number in range(2 * MOST):
        assert recently.get(number, lambda number=number: number) == number  # type: ignore[misc]
    assert recently.get(0, lambda: -1) == 0
    assert recently.get(2 * MOST - 1, lambda: -1) == -1, "it was not kept"


def test_what_failed_is_tried_again() -> None:
    recently: Recently[int] = Recently(1.0, SetClock().now)
    with pytest.raises(ZeroDivisionError):
        recently.get("a", lambda: 1 // 0)
    assert recently.get("a", lambda: 5) == 5
