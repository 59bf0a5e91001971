"""Kinds of tasks, mixes, and what workers are given."""

from __future__ import annotations

from statistics import fmean

import pytest

from gpulockd.evidence.bench.tasks import COMMAND, KINDS, BadMix, deal, described, mean_hold, mean_pause, parse_mix


def test_a_mix_is_read() -> None:
    assert parse_mix("short=8, medium=2") == {"short": 8, "medium": 2}
    assert mean_hold({"short": 8, "medium": 2}) == pytest.approx((8 * 2.5 + 2 * 45) / 10)
    assert described({"short": 8, "medium": 2}).count("of them") == 2


@pytest.mark.parametrize(
    ("text", "why"),
    [("brief=1", "no kind"), ("short", "short=N"), ("short=0", "1 to 1000"), ("short=1,short=2", "twice")],
)
def test_what_is_no_mix_is_told(text: str, why: str) -> None:
    with pytest.raises(BadMix, match=why):
        parse_mix(text)


def test_the_same_seed_gives_everybody_the_same() -> None:
    def dealt(seed: str) -> object:
        return deal({"short": 1.0, "long": 1.0}, 3, 4, pause=10, scale=0.1, seed=seed)

    assert dealt("1/0") == dealt("1/0") != dealt("1/1")


def test_tasks_take_as_long_as_their_kind_and_pauses_are_long_enough_for_the_load() -> None:
    pause = mean_pause(2.5, workers=8, gpus=1, load=0.8)
    assert 2.5 * 8 / (2.5 + pause) == pytest.approx(0.8)
    tasks = [task for mine in deal({"short": 1.0}, 8, 500, pause=pause, scale=0.5, seed="x") for task in mine]
    assert all(KINDS["short"].least <= 2 * task.hold <= KINDS["short"].most for task in tasks)
    assert fmean(2 * task.hold for task in tasks) == pytest.approx(2.5, rel=0.05)
    assert fmean(2 * task.pause for task in tasks) == pytest.approx(pause, rel=0.06)
    assert mean_pause(2.5, workers=1, gpus=4, load=1) == 0


def test_a_command_takes_as_long_as_it_takes() -> None:
    [[task]] = deal({}, 1, 1, pause=0, scale=1, seed="x", hold=3.0)
    assert task == (COMMAND, 0, 3.0)
