"""An answer is good for a moment, by a clock of the test's own."""

from __future__ import annotations

from itertools import count

import pytest

from gpulockd.http.cache import MOST, Cache
from tests.support.clock import SetClock


def test_who_asks_the_same_within_a_moment_gets_the_same() -> None:
    clock, numbers = SetClock(), count()
    cache: Cache[int] = Cache(1.0, clock.now)
    assert [cache.get("a", numbers.__next__) for _ in range(3)] == [0, 0, 0]
    assert cache.get("b", numbers.__next__) == 1
    clock.uptime += 0.99
    assert cache.get("a", numbers.__next__) == 0
    clock.uptime += 0.01
    assert cache.get("a", numbers.__next__) == 2


def test_no_more_than_so_many_are_kept() -> None:
    cache: Cache[int] = Cache(1.0, SetClock().now)
    for number in range(2 * MOST):
        assert cache.get(number, lambda number=number: number) == number  # type: ignore[misc]
    assert cache.get(0, lambda: -1) == 0
    assert cache.get(2 * MOST - 1, lambda: -1) == -1, "it was not kept"


def test_what_failed_is_tried_again() -> None:
    cache: Cache[int] = Cache(1.0, SetClock().now)
    with pytest.raises(ZeroDivisionError):
        cache.get("a", lambda: 1 // 0)
    assert cache.get("a", lambda: 5) == 5
