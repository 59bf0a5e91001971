"""What a run was made on and with, for its report."""

from __future__ import annotations

import contextlib
import os
import platform
import time
from dataclasses import dataclass
from pathlib import Path

from ...version import __version__


@dataclass(frozen=True, slots=True)
class Surroundings:
    command: str
    date: str
    version: str
    """Of gpulockd."""
    machine: str
    busy_before: float
    """Cores that others used before it began: the load average of the last minute."""


def look_around(command: str) -> Surroundings:
    """Before anything is started."""
    cores = len(os.sched_getaffinity(0))
    release = ".".join(platform.release().split(".")[:2])
    machine = (
        f"{cores} core{'s' if cores != 1 else ''} of a processor {processor()}, "
        f"Linux {release}, CPython {platform.python_version()}"
    )
    return Surroundings(command, time.strftime("%Y-%m-%d", time.gmtime()), __version__, machine, os.getloadavg()[0])


def processor() -> str:
    """Its model, or its kind where the kernel does not tell."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()
