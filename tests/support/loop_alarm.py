"""An alarm for a clock that a test owns: on the event loop's own time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class LoopAlarm:
    """Implements `ports.Alarm`. Between being set and ringing, the clock must go as fast as the loop's time."""

    def __init__(self, ring: Callable[[], None], now: Callable[[], float]) -> None:
        self._ring = ring
        self._now = now
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def set(self, at: float) -> None:
        self.close()
        self._timer = self._loop.call_later(max(0.0, at - self._now()), self._ring)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
