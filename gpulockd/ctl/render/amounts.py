"""Amounts in as few characters as they can be read in: durations, memory, counts."""

from __future__ import annotations

import math

GIB = 1024**3


def brief(seconds: float | None) -> str:
    """A duration for a table, at most six characters up to 99 days: `42s`, `3m05s`, `2h10m`, `3d04h`."""
    if seconds is None or math.isinf(seconds):
        return "–"
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02d}h"


def gib(size: int) -> str:
    """Bytes as a number of GiB: one decimal below 10, none from there on."""
    value = size / GIB
    return f"{value:.1f}" if value < 9.95 else f"{value:.0f}"


def percent(share: float | None) -> str:
    return "" if share is None else f"{share * 100:.0f}%"


def count(number: int, noun: str, plural: str = "") -> str:
    """`1 GPU`, `4 GPUs`."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def bar(used: int | None, total: int, width: int) -> tuple[str, str]:
    """A memory bar: its filled part and its track, together `width` columns wide."""
    if used is None or total <= 0:
        return "", " " * width
    eighths = min(width * 8, round(width * 8 * used / total))
    if used > 0:
        eighths = max(1, eighths)
    filled = "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()
    return filled, "░" * (width - len(filled))
