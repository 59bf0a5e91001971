"""Cancellation that redis-py cannot lose.

It sends by `asyncio.wait_for`, which before Python 3.12 swallows a cancellation that comes in the moment in which the
sending is done. What was cancelled would go on as if nothing had been asked of it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def heeding_cancellation() -> Iterator[None]:
    """Raises `CancelledError` at its end, at the latest, when the task was cancelled within."""
    task = asyncio.current_task()
    earlier = task.cancelling() if task else 0
    try:
        yield
    finally:
        if task and task.cancelling() > earlier:
            raise asyncio.CancelledError
