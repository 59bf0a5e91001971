"""A terminal for programs under test, and the person who types at it. Nothing here waits without a deadline."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from .processes import end_with_parent
from .waiting import PATIENCE, wait_until


class PseudoTerminal:
    """Runs one program as the leader of a session whose terminal this is."""

    def __init__(
        self, command: list[str], *, environment: dict[str, str] | None = None, columns: int = 80, rows: int = 24
    ) -> None:
        master, slave = pty.openpty()
        os.set_blocking(master, False)
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self._master = io.FileIO(master, "r+")

        def begin() -> None:
            end_with_parent()
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen(
            command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**os.environ, "TERM": "xterm", **(environment or {})},
            preexec_fn=begin,  # noqa: PLW1509  # system calls only
        )
        os.close(slave)
        self._pidfd = os.pidfd_open(self.process.pid)
        self.output = ""
        """Everything that was printed."""
        self._seen = 0

    def enter(self, text: str) -> None:
        """Types it, as it is."""
        typed = self._master.write(text.encode())
        assert typed == len(text.encode()), "nobody has read what was typed before"

    def press(self, key: str) -> None:
        """`press("C")` is Ctrl-C."""
        self.enter(chr(ord(key) & 0x1F))

    def hang_up(self) -> None:
        """Closes the window."""
        self._master.close()

    def foreground(self) -> int:
        """The process group that gets the keys."""
        return os.tcgetpgrp(self._master.fileno())

    def wait_for(self, pattern: str) -> re.Match[str]:
        """The next match in what is printed; what comes before it is then past."""
        deadline = time.monotonic() + PATIENCE
        while (match := re.compile(pattern).search(self.output, self._seen)) is None:
            assert not self._master.closed, f"everything has ended, and {pattern!r} was not printed:\n{self.output!r}"
            assert time.monotonic() < deadline, f"{pattern!r} was not printed within {PATIENCE:g} s:\n{self.output!r}"
            self._read(deadline)
        self._seen = match.end()
        return match

    def end(self) -> int:
        """Waits for the end of the program, whoever else is still there; its exit status as a shell tells it."""
        deadline = time.monotonic() + PATIENCE
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"it did not end within {PATIENCE:g} s:\n{self.output!r}"
            self._read(deadline)
        while self._read(deadline) and time.monotonic() < deadline:
            pass  # what it printed last
        return 128 - self.process.returncode if self.process.returncode < 0 else self.process.returncode

    def _read(self, deadline: float) -> bool:
        """Takes in what was printed; waits for that, or for the end of the program. Whether there was anything."""
        sources = [self._pidfd, *([] if self._master.closed else [self._master.fileno()])]
        select.select(sources, [], [], max(0.0, deadline - time.monotonic()))
        if self._master.closed:
            return False
        try:
            data = self._master.read(65536)
        except OSError:  # the last one that had it open has ended
            self._master.close()
            return False
        self.output += (data or b"").decode(errors="replace")
        return bool(data)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            wait_until(self._nobody_is_left, f"everything that {self.process.args!r} has started has ended")
        finally:
            self._master.close()
            os.close(self._pidfd)
            self.process.wait(PATIENCE)

    def _nobody_is_left(self) -> bool:
        """Kills whoever was started at this terminal: a shell's jobs do not end with the shell."""
        left = [pid for pid in _processes() if _session(pid) == self.process.pid]
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not left


def _processes() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").glob("[0-9]*")]


def _session(pid: int) -> int | None:
    """None where it has ended."""
    try:
        state, _, _, session = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:4]
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if state in "ZX" else int(session)
