"""One clock for all processes of a measurement."""

from __future__ import annotations

import time

NS = 1_000_000_000

now = time.monotonic_ns
"""Nanoseconds of CLOCK_MONOTONIC, the same in every process."""


def sleep_until(moment: int) -> None:
    while (left := moment - now()) > 0:
        time.sleep(left / NS)


def cpu_seconds(pid: int) -> float:
    """CPU time that all threads of a process have used, to the nanosecond (its CPU clock, clock_getcpuclockid(3))."""
    return time.clock_gettime((~pid << 3) | 2)
