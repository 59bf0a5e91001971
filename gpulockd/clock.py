"""The one clock that the daemon reads: seconds since boot, and which boot it is; and its alarm."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import math
import os
import time
from collections.abc import Callable
from pathlib import Path

from .ports import StartupRefused

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

_SECOND = 10**9


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

    def alarm(self, ring: Callable[[], None]) -> BootAlarm:
        return BootAlarm(self.now, ring)


class BootAlarm:
    """Implements `ports.Alarm` by a timerfd. An event loop's own timers are on CLOCK_MONOTONIC, which stands still
    while the machine is suspended: what became due meanwhile would ring when the rest of its time is over, too.

    To be made on a running event loop's thread. Raises `OSError` where no descriptor is left.
    """

    def __init__(self, now: Callable[[], float], ring: Callable[[], None]) -> None:
        self._now = now
        self._ring = ring
        self._loop = asyncio.get_running_loop()
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._timer = self._call("timerfd_create", time.CLOCK_BOOTTIME, os.O_NONBLOCK | os.O_CLOEXEC)
        self._loop.add_reader(self._timer, self._rings)

    def set(self, at: float) -> None:
        # A time of 0 would disarm it. It is given as what is left: libfaketime takes any point in time for the wall
        # clock's.
        left = at - self._now()
        seconds, nanoseconds = divmod(max(1, math.ceil(left * _SECOND)), _SECOND)
        once_in = (ctypes.c_long * 4)(0, 0, seconds, nanoseconds)
        self._call("timerfd_settime", self._timer, 0, once_in, None)

    def close(self) -> None:
        if self._timer >= 0:
            self._loop.remove_reader(self._timer)
            os.close(self._timer)
            self._timer = -1

    def _rings(self) -> None:
        with contextlib.suppress(BlockingIOError):  # set anew meanwhile
            os.read(self._timer, 8)
            self._ring()

    def _call(self, name: str, *arguments: object) -> int:
        result: int = getattr(self._libc, name)(*arguments)
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, f"{name}: {os.strerror(number)}")
        return result
