"""Amounts in few characters."""

from __future__ import annotations

import math

import pytest

from gpulock.durations import parse_duration
from gpulockd.ctl.render.amounts import bar, brief, count, gib, percent

GIB = 1024**3


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-1.0, "0s"),
        (0.9, "0s"),
        (59.9, "59s"),
        (60, "1m00s"),
        (3599, "59m59s"),
        (3600, "1h00m"),
        (86399, "23h59m"),
        (86400, "1d00h"),
        (99 * 86400, "99d00h"),
        (None, "–"),
        (math.inf, "–"),
    ],
)
def test_brief(seconds: float | None, said: str) -> None:
    assert brief(seconds) == said
    assert len(said) <= 6


@pytest.mark.parametrize("seconds", [5, 125, 7260, 97200])
def test_what_is_shown_can_be_typed(seconds: int) -> None:
    assert parse_duration(brief(seconds)) == seconds


@pytest.mark.parametrize(
    ("size", "said"),
    [(0, "0.0"), (GIB // 2, "0.5"), (int(9.94 * GIB), "9.9"), (int(9.96 * GIB), "10"), (80 * GIB, "80")],
)
def test_gib(size: int, said: str) -> None:
    assert gib(size) == said


@pytest.mark.parametrize("width", [1, 6, 16])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.5, 0.999, 1.0, 1.3])
def test_a_bar_is_as_wide_as_it_should_be(share: float, width: int) -> None:
    filled, track = bar(int(share * 1000), 1000, width)
    assert len(filled + track) == width
    assert bool(filled) == (share > 0)  # a little use is seen


def test_a_bar_of_unknown_use_is_blank() -> None:
    assert bar(None, 1000, 4) == ("", "    ")
    assert bar(5, 0, 4) == ("", "    ")


def test_percent_and_count() -> None:
    assert percent(None) == ""
    assert percent(0.345) == "34%"
    assert [count(1, "GPU"), count(0, "GPU"), count(2, "GPU")] == ["1 GPU", "0 GPUs", "2 GPUs"]
