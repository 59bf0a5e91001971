"""Durations, as people write them."""

from __future__ import annotations

import contextlib
import math

import pytest
from hypothesis import given, strategies as st

from gpulock.durations import format_duration, parse_duration
from gpulock.errors import InvalidRequest


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("30s", 30),
        ("5m", 300),
        ("2h", 7200),
        ("1d", 86400),
        ("250ms", 0.25),
        ("1h30m", 5400),
        ("1h 30", None),
        ("1.5h", 5400),
        ("45", 45),
        ("0", 0),
        (" 10S ", 10),
        (0, 0),
        (2.5, 2.5),
        ("forever", math.inf),
        (math.inf, math.inf),
        ("", None),
        ("s", None),
        ("-1", None),
        (-1, None),
        (math.nan, None),
        ("5x", None),
        ("5 minutes", None),
        ("1.2.3", None),
        ("1m.5s", None),
        ("30m5", None),
        (10**400, math.inf),
    ],
)
def test_parse(written: str | float, seconds: float | None) -> None:
    if seconds is None:
        with pytest.raises(InvalidRequest) as caught:
            parse_duration(written)
        assert caught.value.hint
    else:
        assert parse_duration(written) == pytest.approx(seconds)


@given(st.text(max_size=12))
def test_any_text_is_a_duration_or_an_invalid_request(text: str) -> None:
    with contextlib.suppress(InvalidRequest):
        assert parse_duration(text) >= 0


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (0, "0.0s"),
        (0.43, "0.4s"),
        (42.9, "42s"),
        (185, "3m 05s"),
        (7800, "2h 10m"),
        (3 * 86400 + 4 * 3600 + 59, "3d 4h"),
        (math.inf, "forever"),
    ],
)
def test_format(seconds: float, written: str) -> None:
    assert format_duration(seconds) == written


@given(st.floats(0, 1e9))
def test_what_is_formatted_can_be_parsed_again_and_is_about_the_same(seconds: float) -> None:
    again = parse_duration(format_duration(seconds).replace(" ", ""))
    assert again == pytest.approx(seconds, rel=0.05, abs=1)
