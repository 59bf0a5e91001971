"""The one clock that the daemon reads: seconds since boot, and which boot it is."""

from __future__ import annotations

import time
from pathlib import Path

from .ports import StartupRefused

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class BootClock:
    """CLOCK_BOOTTIME: it never steps, and goes on while the machine is suspended.

    Raises `StartupRefused` where the kernel does not tell one boot from another.
    """

    def __init__(self) -> None:
        try:
            self.boot_id = BOOT_ID.read_text().strip()
        except OSError as error:
            raise StartupRefused(
                f"cannot read the boot id from {BOOT_ID}: {error.strerror}",
                "mount /proc, with /proc/sys readable, where the daemon runs",
            ) from error

    def now(self) -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def wall(self) -> float:
        return time.time()
