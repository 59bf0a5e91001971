"""The clocks: the one that leases and locks are timed by, and the wall clock that people read in the log."""

from __future__ import annotations

import shutil
import subprocess
import time

from gpulock.durations import format_duration

from .finding import Finding

_PATIENCE = 5.0  # seconds for timedatectl
_EARLIEST = 1_735_689_600.0  # 2025-01-01: a wall clock before that was never set


def check() -> list[Finding]:
    return [
        boottime(time.clock_gettime(time.CLOCK_BOOTTIME), time.clock_gettime(time.CLOCK_MONOTONIC)),
        wall(time.time(), synchronised()),
    ]


def boottime(boottime: float, monotonic: float) -> Finding:
    """CLOCK_BOOTTIME is CLOCK_MONOTONIC and the time spent suspended; it can never be behind it."""
    suspended = boottime - monotonic
    if suspended < -1.0:
        message = f"CLOCK_BOOTTIME is {format_duration(-suspended)} behind CLOCK_MONOTONIC: leases would be mistimed"
        return Finding("clock", "fail", message, "reboot; if it stays so, this kernel's clock is broken")
    slept = f", {format_duration(suspended)} of them suspended" if suspended >= 1.0 else ""
    return Finding("clock", "ok", f"up {format_duration(boottime)} by CLOCK_BOOTTIME{slept}")


def wall(now: float, in_step: bool | None) -> Finding:
    """Nothing is decided by the wall clock, so whatever is wrong with it is a warning."""
    if now < _EARLIEST:
        said = time.strftime("%Y-%m-%d", time.gmtime(now))
        return Finding("wall clock", "warn", f"it says {said}: history will be misdated", "timedatectl set-ntp true")
    if in_step is None:
        return Finding("wall clock", "skip", "whether it is synchronised cannot be told here")
    if not in_step:
        message = "not synchronised: times in history and log may be off; locks and leases do not depend on it"
        return Finding("wall clock", "warn", message, "timedatectl set-ntp true")
    return Finding("wall clock", "ok", "synchronised")


def synchronised() -> bool | None:
    """None where nobody can tell."""
    timedatectl = shutil.which("timedatectl")
    if timedatectl is None:
        return None
    command = [timedatectl, "show", "--property=NTPSynchronized", "--value"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return {"yes": True, "no": False}.get(done.stdout.strip())
