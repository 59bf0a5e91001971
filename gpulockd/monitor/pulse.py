"""How late the engine gets round to what is due."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

INTERVAL = 10.0
"""Seconds between two beats: more often than anybody scrapes, and seldom enough to cost an idle daemon nothing."""


async def feel_pulse(turned: Callable[[], Awaitable[None]], beat: Callable[[float], None]) -> None:
    """Tells `beat` by how many seconds each turn came too late, until it is cancelled.

    `turned` returns when the engine has taken a turn. What is felt is all that a client feels: a loop that is busy with
    something else, and the turn itself.
    """
    now = time.monotonic  # what the machine sleeps through is nobody's fault, and a loop's own time is of milliseconds
    while True:
        due = now() + INTERVAL
        await asyncio.sleep(INTERVAL)
        await turned()
        beat(max(0.0, now() - due))
