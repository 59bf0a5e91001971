"""Moments of the past as people name them: so long ago, or a local date and time."""

from __future__ import annotations

import argparse
import time

from gpulock.durations import parse_duration
from gpulock.errors import InvalidRequest

_FORMS = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d", "%H:%M:%S", "%H:%M")
EXPECTED = "how long ago, such as 30m or 7d, or a local time: 14:30, 2026-11-28, '2026-11-28 14:30'"


def ago(text: str, now: float) -> float:
    """Seconds from the moment that `text` names until `now`, by the wall clock. A time of day is the last one that was.

    Raises `argparse.ArgumentTypeError` for what is no moment, or none of the past.
    """
    for form in _FORMS:
        try:
            named = time.strptime(text.strip().replace("T", " "), form)
        except ValueError:
            continue
        dated = "%Y" in form
        year, month, day = (named if dated else time.localtime(now))[:3]
        moment = time.mktime((year, month, day, *named[3:6], -1, -1, -1))
        if moment > now and not dated:
            moment = time.mktime((year, month, day - 1, *named[3:6], -1, -1, -1))
        if moment > now:
            raise argparse.ArgumentTypeError(f"{text!r} is still to come")
        return now - moment
    try:
        return parse_duration(text)
    except InvalidRequest:
        raise argparse.ArgumentTypeError(f"{text!r} is no moment: {EXPECTED}") from None
