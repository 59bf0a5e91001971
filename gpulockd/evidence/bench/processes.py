"""Processes of a benchmark, in a group of their own, which never outlive it: the kernel sees to that."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, ClassVar

from gpulock import kernel

STARTS_WITHIN = 20.0
STOPS_WITHIN = 5.0
"""Seconds for a server to be ready, and to end in good order."""
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""They wait while a process is made: an exception in what Python calls at a fork is printed, and lost."""
_NOT_FOR_THEM = ("GPULOCK", "GPU_LOCK_", "NOTIFY_SOCKET", "LISTEN_", "WATCHDOG_")


class ServerFailed(Exception):
    """A server did not start, or does not answer; the message has its last words."""


class CommandFailed(Exception):
    """A command of the user's cannot be measured; the message has its last words."""


class Server:
    """A process that others connect to. It is ready from its making on, and reaped when it is stopped."""

    look_every: ClassVar[float] = 0.02
    """Seconds between two looks whether it is ready."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        ready: Callable[[], bool],
        *,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Waits until it is `ready`. Raises `ServerFailed`."""
        self._process = start(command, log, environment=environment)
        try:
            end = time.monotonic() + STARTS_WITHIN
            while not ready():
                if self._process.poll() is not None or time.monotonic() > end:
                    raise ServerFailed(f"{name} did not start: {last_words(log) or 'it said nothing'}")
                time.sleep(self.look_every)
        except BaseException:
            stop(self._process)
            raise

    @property
    def pid(self) -> int:
        return self._process.pid

    def stop(self) -> None:
        stop(self._process)


def start(
    command: Sequence[str], log: Path, *, environment: Mapping[str, str] | None = None, talks: bool = False
) -> subprocess.Popen[str]:
    """What it says goes into `log`; with `talks` its standard input and output are pipes to here.

    `environment` is put on top of ours, without what that says about locks and daemons: ours may run under a lock.
    Ctrl-C on the terminal reaches the benchmark alone, which ends what it started.
    """
    ours = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_FOR_THEM)}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    try:
        with log.open("a") as errors:
            output: int | IO[str] = subprocess.PIPE if talks else errors
            process = subprocess.Popen(
                command,
                env={**ours, **(environment or {})},
                stdin=subprocess.PIPE if talks else subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                text=True,
                process_group=0,
                preexec_fn=functools.partial(_begin, os.getpid(), before),  # noqa: PLW1509  # no lock is taken
            )
    except BaseException:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        raise
    try:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)  # what has come meanwhile is heard of here
    except BaseException:
        kill(process)
        raise
    return process


def _begin(parent: int, mask: set[int | signal.Signals]) -> None:
    """In the new process: the kernel kills it when the one that started it ends, even by SIGKILL."""
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    kernel.die_with_parent(parent)


def stop(process: subprocess.Popen[str]) -> None:
    """In good order where it can; reaped in any case."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOPS_WITHIN)
    kill(process)


def kill(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()


def last_words(log: Path) -> str:
    """The end of a log, for an error."""
    return log.read_text(errors="replace").strip()[-600:] if log.exists() else ""


def tried_alone(command: Sequence[str], log: Path, limit: float) -> float:
    """How long a command takes by itself, in seconds. Raises `CommandFailed` where it fails, or exceeds `limit`."""
    began = time.monotonic()
    try:
        process = start(command, log)
    except OSError as error:
        raise CommandFailed(f"{command[0]} cannot be run: {error.strerror or error}") from None
    try:
        status = process.wait(limit)
    except subprocess.TimeoutExpired:
        raise CommandFailed(f"{command[0]} ran for longer than {limit:.0f} s by itself") from None
    finally:
        kill(process)
    if status:
        said = last_words(log)
        raise CommandFailed(f"{command[0]} ended with {status} when it was tried alone{': ' if said else ''}{said}")
    return time.monotonic() - began
