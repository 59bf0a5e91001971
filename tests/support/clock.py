"""A clock that a test sets."""

from __future__ import annotations

from dataclasses import dataclass

BOOT = "6f6dc0a5-7c3e-4ac8-8f0a-4a1f8f6a0b11"


@dataclass
class SetClock:
    """Implements `ports.Clock`; its `now` is what takes a function for one. Time passes where a test says so."""

    boot_id: str = BOOT
    uptime: float = 1000.0
    booted_at: float = 1_700_000_000.0

    def now(self) -> float:
        return self.uptime

    def wall(self) -> float:
        return self.booted_at + self.uptime
