"""A real daemon in a temporary directory, to be started, killed and started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from . import processes
from .frames import Frames
from .waiting import PATIENCE, wait_until


class Daemon:
    """`python -m gpulockd` with its socket, state directory and log under `directory`.

    Everything is set through the environment; `settings` are further keys, `{"redis.url": "unix://..."}`.
    """

    def __init__(
        self,
        directory: Path,
        *,
        simulate: int | None = 2,
        settings: dict[str, object] | None = None,
        arguments: tuple[str, ...] = (),
        under: tuple[str, ...] = (),
    ) -> None:
        self.directory = directory
        self.socket = str(directory / "gpulockd.sock")
        self.state = directory / "state"
        self.log = directory / "gpulockd.log"
        self.under = under
        """What the command is begun with, such as `setpriv ...`."""
        self.arguments = (*(() if simulate is None else ("--simulate", str(simulate))), *arguments)
        self.settings: dict[str, object] = {
            "daemon.socket": self.socket,
            "daemon.state_dir": self.state,
            "http.port": 0,
            **(settings or {}),
        }
        self.process: subprocess.Popen[str] | None = None

    @property
    def environment(self) -> dict[str, str]:
        return {f"GPULOCKD__{key.replace('.', '__').upper()}": str(value) for key, value in self.settings.items()}

    @property
    def pid(self) -> int:
        assert self.process is not None, "the daemon was not started"
        return self.process.pid

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def start(self) -> None:
        """Starts it and waits until it answers."""
        self.launch()
        wait_until(self._answers, lambda: f"the daemon answers; {self._last_words()}", within=2 * PATIENCE)

    def launch(self) -> None:
        """Starts it without waiting for anything."""
        assert self.process is None or self.process.poll() is not None, "the daemon runs already"
        self.state.mkdir(parents=True, exist_ok=True)
        with self.log.open("a") as log:
            self.process = processes.start(
                [*self.under, sys.executable, "-m", "gpulockd", *self.arguments],
                environment=self.environment,
                stdout=log,
                stderr=log,
            )

    def kill(self) -> None:
        """SIGKILL, and waits for the end."""
        self._signal(signal.SIGKILL)

    def stop(self) -> int:
        """SIGTERM, and waits for the end; returns its exit code."""
        return self._signal(signal.SIGTERM)

    def restart(self) -> None:
        """`kill -9`, and up again."""
        self.kill()
        self.start()

    def end(self) -> None:
        if self.process is not None:
            processes.end(self.process)

    def call(self, method: str, **params: Any) -> Any:
        """One request over a connection of its own."""
        with Frames(self.socket) as frames:
            return frames.call(method, **params)

    def status(self) -> Any:
        return self.call("status")

    def output(self) -> str:
        """All that it has logged."""
        return self.log.read_text(errors="replace") if self.log.exists() else "(no log)"

    def _last_words(self) -> str:
        return f"its log ends:\n{self.output()[-8000:]}"

    def _answers(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(f"the daemon ended with {self.process.returncode}; {self._last_words()}")
        try:
            self.status()
        except (OSError, EOFError):
            return False
        return True

    def _signal(self, number: signal.Signals) -> int:
        assert self.process is not None
        if self.process.poll() is None:
            os.kill(self.process.pid, number)
        return self.process.wait(PATIENCE)
