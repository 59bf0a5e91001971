"""Moments as people name them. The clock stands at noon, UTC, of the 28th of November 2026."""

from __future__ import annotations

import argparse

import pytest

from gpulockd.ctl.moments import ago

NOON = 1_795_867_200.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30m", 1800),
        ("7d", 7 * 86400),
        ("90", 90),
        ("11:30", 1800),
        ("11:59:30", 30),
        ("12:01", 86400 - 60),
        ("2026-11-28", 12 * 3600),
        ("2026-11-27 12:00", 86400),
        ("2026-11-27T12:00:30", 86400 - 30),
    ],
)
def test_moments(text: str, seconds: float) -> None:
    assert ago(text, NOON) == seconds


@pytest.mark.parametrize(
    ("text", "why"),
    [("2026-11-28 12:01", "to come"), ("2027-01-01", "to come"), ("soon", "is no moment"), ("", "is no")],
)
def test_what_is_none(text: str, why: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=why):
        ago(text, NOON)
