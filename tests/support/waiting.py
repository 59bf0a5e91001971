"""Waiting for something to become true, with an error that says what did not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

Seen = TypeVar("Seen")

PATIENCE = 15.0
"""Far above what anything here takes: a slow machine must not fail a test."""
_LOOK_EVERY = 0.005


def wait_until(condition: Callable[[], Seen], what: str | Callable[[], str] = "", *, within: float = PATIENCE) -> Seen:
    """What `condition` returned when it was first true.

    Raises `AssertionError` that tells `what` was awaited when it is not true within that many seconds.
    """
    deadline = time.monotonic() + within
    while not (seen := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(_story(condition, what, within, seen))
        time.sleep(_LOOK_EVERY)
    return seen


async def eventually(
    condition: Callable[[], Seen], what: str | Callable[[], str] = "", *, within: float = PATIENCE
) -> Seen:
    """`wait_until` on an event loop."""
    deadline = time.monotonic() + within
    while not (seen := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(_story(condition, what, within, seen))
        await asyncio.sleep(_LOOK_EVERY)
    return seen


def _story(condition: Callable[[], object], what: str | Callable[[], str], within: float, seen: object) -> str:
    awaited = what() if callable(what) else what or getattr(condition, "__name__", repr(condition))
    return f"not within {within:g} s: {awaited} (last seen: {seen!r})"
