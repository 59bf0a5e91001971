"""Durations as people write them: `30s`, `5m`, `2h`, `1h30m`; bare numbers are seconds."""

from __future__ import annotations

import math

from .errors import InvalidRequest

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
FOREVER = math.inf


def parse_duration(value: float | str) -> float:
    """Seconds in `value`; `forever` is infinity.

    Raises `InvalidRequest` for anything that is not a duration, negative ones and NaN among them.
    """
    try:
        seconds = _seconds(value) if isinstance(value, str) else float(value)
    except OverflowError:  # an integer beyond every float
        seconds = FOREVER
    if math.isnan(seconds) or seconds < 0:
        raise InvalidRequest(f"a duration cannot be {value!r}", hint="write 30s, 5m, 2h, or seconds as a number >= 0")
    return seconds


def _seconds(text: str) -> float:
    text = text.strip().lower()
    if text == "forever":
        return FOREVER
    total, rest = 0.0, text
    while rest:
        number = _leading_number(rest)
        unit = _leading_unit(rest[len(number) :])
        bare = not unit and rest == text
        if not number or not (unit or bare) or rest[len(number) + len(unit) :].startswith("."):
            raise InvalidRequest(f"{text!r} is not a duration", hint="write 30s, 5m, 2h, 1h30m, forever, or seconds")
        total += _number(number, text) * _UNITS.get(unit, 1.0)
        rest = rest[len(number) + len(unit) :]
        if bare:
            break
    if not text or rest:
        raise InvalidRequest(f"{text!r} is not a duration", hint="write 30s, 5m, 2h, 1h30m, forever, or seconds")
    return total


def _leading_number(text: str) -> str:
    end = 0
    while end < len(text) and (text[end] in "0123456789."):
        end += 1
    return text[:end]


def _leading_unit(text: str) -> str:
    return next((unit for unit in _UNITS if text.startswith(unit)), "")


def _number(digits: str, text: str) -> float:
    try:
        return float(digits)
    except ValueError:
        raise InvalidRequest(f"{text!r} is not a duration", hint=f"{digits!r} is not a number") from None


def format_duration(seconds: float) -> str:
    """`seconds` in at most two units, as a person reads it: `0.4s`, `42s`, `3m 05s`, `2h 10m`, `3d 4h`."""
    if math.isinf(seconds):
        return "forever"
    if seconds < 1:
        return f"{seconds:.1f}s"
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h {whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d {whole % 86400 // 3600}h"
