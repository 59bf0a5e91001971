"""Which handovers count as looked at, and which as not."""

from __future__ import annotations

from bench.works.contention import Turn
from bench.works.onlookers import Window, sorted_gaps

WINDOWS = [Window(100, 200, False, 0), Window(220, 300, True, 4), Window(320, 400, False, 0)]


def turns(*moments: tuple[int, int, int]) -> list[Turn]:
    """Of each: when the lock was had, when it was let go, and by which process."""
    return [Turn(got, got, given, process) for got, given, process in moments]


def test_a_handover_belongs_to_the_window_that_it_begins_in() -> None:
    quiet, seen = sorted_gaps(turns((90, 110, 0), (113, 230, 1), (235, 330, 0), (337, 340, 1)), WINDOWS)
    assert (quiet, seen) == ([3, 7], [5])


def test_between_windows_and_outside_of_them_nothing_counts() -> None:
    assert sorted_gaps(turns((10, 50, 0), (60, 210, 1), (215, 450, 0), (460, 470, 1)), WINDOWS) == ([], [])


def test_to_have_it_again_oneself_is_no_handover() -> None:
    assert sorted_gaps(turns((90, 110, 0), (111, 120, 0), (123, 130, 1)), WINDOWS) == ([3], [])
