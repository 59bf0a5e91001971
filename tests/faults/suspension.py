"""The suspend of a host, as its processes live through it: they stop, the world goes on, and they know only by a clock.

A machine that runs the tests cannot be suspended by them. What can be had is all that a process sees of it: it is
stopped, CLOCK_MONOTONIC and every timer on it stand still, CLOCK_BOOTTIME goes on, and so do Redis and other hosts.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from tests.support.waiting import wait_until

SOURCE = Path(__file__).with_name("suspend.c")


class Suspension:
    """One host that can be suspended: all its processes have to be started with `environment`."""

    def __init__(self, directory: Path) -> None:
        library, self._file = directory / "suspend.so", directory / "suspended"
        compiler = os.environ.get("CC") or shutil.which("cc") or "gcc"
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", library, SOURCE], check=True)
        self.environment = {"LD_PRELOAD": str(library), "SUSPENDED": str(self._file)}
        self._nanoseconds = 0
        self._tell()
        self._since = 0
        self._pidfds: list[int] = []

    @property
    def under(self) -> tuple[str, ...]:
        """What a command is begun with, to run on this host."""
        return ("env", *(f"{name}={value}" for name, value in self.environment.items()))

    def begin(self, *pids: int) -> None:
        """These are all the processes of the host, in the order in which they wake up."""
        self._pidfds, self._since = [os.pidfd_open(pid) for pid in pids], time.monotonic_ns()
        for pidfd in self._pidfds:
            signal.pidfd_send_signal(pidfd, signal.SIGSTOP)
        for pid in pids:
            wait_until(lambda: state(pid) == "T", "it has stopped")  # noqa: B023  # asked at once

    def end(self) -> None:
        """It wakes up, and CLOCK_MONOTONIC goes on from where it was."""
        self._nanoseconds += time.monotonic_ns() - self._since
        self._tell()
        for pidfd in self._pidfds:
            with contextlib.suppress(ProcessLookupError):  # one that woke up before may have ended it
                signal.pidfd_send_signal(pidfd, signal.SIGCONT)
            os.close(pidfd)

    def _tell(self) -> None:
        with self._file.open("r+b" if self._file.exists() else "wb") as file:  # in place: it is mapped
            file.write(self._nanoseconds.to_bytes(8, "little"))


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
