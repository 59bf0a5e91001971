"""Waiting for something to become true, with an error that says what did not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

Seen = TypeVar("Seen")

PATIENCE = 30.0
"""Far above what anything here takes: a slow machine must not fail a test."""
_LOOK_EVERY = 0.005


def wait_until(condition: Callable[[], Seen], what: str | Callable[[], str] = "", *, within: float = PATIENCE) -> Seen:
    """What `condition` returned when it was first true.

    Raises `AssertionError` that tells `what` was awaited when it is not true within that many seconds.
    """
    deadline, over = time.monotonic() + within, False
    while not (seen := condition()):
        if over:
            raise AssertionError(_story(condition, what, within, seen))
        over = time.monotonic() > deadline  # once more: perhaps this process stood still since it looked
        time.sleep(_LOOK_EVERY)
    return seen


async def eventually(
    condition: Callable[[], Seen], what: str | Callable[[], str] = "", *, within: float = PATIENCE
) -> Seen:
    """`wait_until` on an event loop."""
    deadline, over = time.monotonic() + within, False
    while not (seen := condition()):
        if over:
            raise AssertionError(_story(condition, what, within, seen))
        over = time.monotonic() > deadline
        await asyncio.sleep(_LOOK_EVERY)
    return seen


def _story(condition: Callable[[], object], what: str | Callable[[], str], within: float, seen: object) -> str:
    awaited = what() if callable(what) else what or getattr(condition, "__name__", repr(condition))
    return f"not within {within:g} s: {awaited} (last seen: {seen!r})"
