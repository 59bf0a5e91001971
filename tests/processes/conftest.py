"""Real processes, and a `LinuxProcesses` that watches them."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gpulockd.clock import BootClock
from gpulockd.core.events import Event, ProcessExited
from gpulockd.core.model import Process
from gpulockd.processes import LinuxProcesses, proc
from tests.support import processes as support

CLOCK = BootClock()


@pytest.fixture
def posted() -> list[Event]:
    """What was posted."""
    return []


@pytest.fixture
async def watcher(posted: list[Event]) -> AsyncIterator[LinuxProcesses]:
    watching = LinuxProcesses(posted.append, CLOCK, lambda uid, user: uid == 0 or user == "ada")
    try:
        yield watching
    finally:
        watching.close()


Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a process; by default one that only waits."""
    with contextlib.ExitStack() as running:

        def start_it(*command: str, **options: Any) -> subprocess.Popen[str]:
            process = support.start(command or ("sleep", "60"), **options)
            running.callback(support.end, process)
            return process

        yield start_it


Shell = Callable[..., tuple[subprocess.Popen[str], list[int]]]


@pytest.fixture
def shell(start: Start) -> Iterator[Shell]:
    """Runs a shell that prints `pids` pids of what it starts; those are ended with the test."""
    with contextlib.ExitStack() as running:

        def run(script: str, pids: int = 1, **options: Any) -> tuple[subprocess.Popen[str], list[int]]:
            process = start("sh", "-c", f"{script}\nwait", **options)
            assert process.stdout is not None
            started = [int(process.stdout.readline()) for _ in range(pids)]
            for pid in started:
                running.callback(kill, pid)
            return process, started

        yield run


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def identity(pid: int) -> Process:
    stat = proc.stat(pid)
    assert stat is not None
    return Process(pid, stat.start_time, CLOCK.boot_id)


def is_zombie(pid: int) -> bool:
    stat = proc.stat(pid)
    return stat is not None and stat.state == "Z"


def descriptors() -> int:
    """How many this process has open, the one that looks included."""
    return len(list(Path("/proc/self/fd").iterdir()))


@contextlib.contextmanager
def no_descriptor_left() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # They are given out from the lowest free one.
    lowest_free = os.dup(0)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def exits(posted: list[Event]) -> list[Process]:
    assert all(isinstance(event, ProcessExited) for event in posted)
    return [event.process for event in posted if isinstance(event, ProcessExited)]
