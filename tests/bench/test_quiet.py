"""The guard repeats what was disturbed, and comes to an end on a machine that never is quiet."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import pytest

from bench.quiet import QUIET, Patience, Watch, undisturbed


class Noises(Watch):
    """Watches that see, one after the other, so many cores of others' work."""

    def __init__(self, noises: Iterable[float]) -> None:
        self._noises = iter(noises)

    def __call__(self) -> Watch:
        return self

    def noise(self) -> float:
        return next(self._noises)


@pytest.mark.parametrize(
    ("noises", "kept", "tries"),
    [
        ([0.0], 1, 1),
        ([0.5, 0.05], 2, 2),
        ([0.5, 0.2, 0.9], 2, 3),
        (itertools.repeat(1.5), 1, 3),
    ],
    ids=["quiet", "quiet at the second try", "the least disturbed of three", "never quiet"],
)
def test_the_least_disturbed_try_is_kept(noises: Iterable[float], kept: int, tries: int) -> None:
    count = itertools.count(1)
    measured = undisturbed(lambda: next(count), Patience(left=100, wait=0, tries=3), Noises(noises))
    assert measured.result == kept
    assert next(count) == tries + 1
    assert measured.disturbed == (measured.noise > QUIET)


def test_with_no_patience_left_all_is_measured_once() -> None:
    patience = Patience(left=0, wait=60, tries=4)
    measured = [undisturbed(lambda: "figure", patience, Noises([1.5])) for _ in range(3)]
    assert [(each.result, each.disturbed) for each in measured] == [("figure", True)] * 3


def test_noise_is_what_others_used_in_cores() -> None:
    used = iter([(10.0, 4.0), (13.0, 5.0), (13.0, 9.0)])
    watch = Watch(lambda: next(used))
    watch._since -= 4.0
    assert watch.noise() == pytest.approx(0.5, rel=0.01)
    assert watch.noise() == 0.0
