"""Which locks are one bar, and which bars are kept."""

from __future__ import annotations

from gpulockd.http.timeline import GRAIN, Bar, Timeline


def bar(since: float, until: float, **changes: object) -> Bar:
    made = Bar(
        id=0,
        gpus=["GPU-0"],
        locks=1,
        lock=f"L1-{until:g}",
        user="alice",
        task="ocr",
        how="released",
        by="",
        waited=0.5,
        since=since,
        until=until,
    )
    return Bar(**{**made, **changes})  # type: ignore[typeddict-item]


def test_long_locks_are_bars_of_their_own() -> None:
    timeline = Timeline()
    timeline.add(bar(0, 100))
    timeline.add(bar(100, 200))
    assert [(each["id"], each["since"], each["until"]) for each in timeline.all()] == [(1, 0, 100), (2, 100, 200)]


def test_short_ones_in_a_row_are_one() -> None:
    timeline = Timeline()
    timeline.add(bar(0, 1, waited=7.0))
    timeline.add(bar(1, 2))
    timeline.add(bar(2, GRAIN, user="bob", task="tts"))
    (joined,) = timeline.all()
    assert joined == bar(0, GRAIN, id=1, locks=3, user="", task="", waited=7.0)


def test_a_bar_gets_no_longer_than_the_grain() -> None:
    timeline = Timeline()
    for second in range(int(GRAIN) * 3):
        timeline.add(bar(second, second + 1))
    assert [each["locks"] for each in timeline.all()] == [GRAIN] * 3


def test_what_ended_in_another_way_or_on_another_gpu_is_seen_apart() -> None:
    timeline = Timeline()
    timeline.add(bar(0, 1))
    timeline.add(bar(1, 2, how="died"))
    timeline.add(bar(2, 3, gpus=["GPU-1"]))
    timeline.add(bar(3, 4, gpus=["GPU-0", "GPU-1"]))
    assert [each["locks"] for each in timeline.all()] == [1, 1, 1, 1]


def test_a_clock_that_was_set_back_joins_nothing() -> None:
    timeline = Timeline()
    timeline.add(bar(1000, 1001))
    timeline.add(bar(10, 11))
    assert [each["since"] for each in timeline.all()] == [1000, 10]


def test_changes_are_told_once() -> None:
    timeline = Timeline()
    timeline.add(bar(0, 1))
    timeline.add(bar(0, 60, gpus=["GPU-1"]))
    assert [each["id"] for each in timeline.changes()] == [1, 2]
    assert timeline.changes() == []
    timeline.add(bar(1, 2))
    assert [(each["id"], each["locks"]) for each in timeline.changes()] == [(1, 2)]


def test_the_oldest_go_first() -> None:
    timeline = Timeline(most=2)
    for start in (0, 100, 200):
        timeline.add(bar(start, start + 50))
    assert [each["since"] for each in timeline.all()] == [100, 200]
    assert [each["since"] for each in timeline.changes()] == [100, 200]
    timeline.add(bar(0, 1, gpus=["GPU-1"]))
    timeline.add(bar(1, 2, gpus=["GPU-2"]))
    timeline.add(bar(251, 252))
    assert [(each["gpus"], each["since"]) for each in timeline.all()] == [(["GPU-2"], 1), (["GPU-0"], 251)]
