"""The processes of the demonstration: a daemon with simulated GPUs in a temporary directory, and its workers.

None of them outlives this one, however it ends.
"""

from __future__ import annotations

import contextlib
import functools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import gpulock
from gpulock import kernel
from gpulock.documents import StatusDocument

from .diary import Diary, Entry, Reader
from .history import DAEMON
from .scene import Scene

PATIENCE = 30.0
"""Seconds for what takes a fraction of one: a slow machine is no failure."""
LOOK_EVERY = 0.02
_OURS = ("GPULOCK", "GPU_LOCK_", "REDIS_")
"""Beginnings of variables that say something to gpulock or gpulockd."""

CONFIG = """\
daemon:
  socket: {socket}
  state_dir: {state}
http:
  port: 0
inventory:
  simulate: {gpus}
"""


class Trouble(Exception):
    """The demonstration cannot go on."""


class Stage:
    """Starts, kills and ends processes; writes down what it did to them, and tells of everything that is written."""

    def __init__(self, gpus: int, tell: Callable[[list[Entry]], None]) -> None:
        """`tell` is called with whatever is new in the diaries."""
        self.entries: list[Entry] = []
        self.scene = Scene()
        self._tell = tell
        self._temporary = tempfile.TemporaryDirectory(prefix="gpulockd-demo-")
        self.directory = Path(self._temporary.name)
        self.socket = str(self.directory / "gpulockd.sock")
        self.diaries = self.directory / "diaries"
        self.diaries.mkdir()
        self._config = self.directory / "config.yml"
        self._config.write_text(
            CONFIG.format(socket=self.socket, state=self.directory / "state", gpus=gpus), encoding="utf-8"
        )
        self._log = self.directory / "gpulockd.log"
        self._reader = Reader(self.diaries)
        self._diary = Diary(self.diaries, "director")
        self._daemon: subprocess.Popen[bytes] | None = None
        self._workers: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends what still runs, and leaves nothing behind."""
        running = [*self._workers.values(), *([self._daemon] if self._daemon else [])]
        for process in running:
            process.kill()
        for process in running:
            process.wait()
        self._diary.close()
        self._temporary.cleanup()

    def start_daemon(self) -> None:
        with self._log.open("ab") as log:
            self._daemon = _start([sys.executable, "-m", "gpulockd", "--config", str(self._config)], {}, log)
        self.until(self._daemon_answers, "the daemon answers")
        self._diary.write("up")
        self.listen()

    def kill_daemon(self) -> None:
        assert self._daemon is not None, "the daemon was not started"
        self._diary.write("kills", victim=DAEMON)
        self._daemon.kill()
        self._daemon.wait()
        self._diary.write("down")

    def start_worker(self, name: str, *options: str) -> None:
        environment = {"GPULOCK_SOCKET": self.socket, "DEMO_DIARIES": str(self.diaries)}
        self._workers[name] = _start([sys.executable, "-m", "demo.worker", name, *options], environment, None)

    def kill_worker(self, name: str) -> None:
        worker = self._workers[name]
        self._diary.write("kills", victim=name)
        worker.kill()
        worker.wait()

    def finish(self) -> None:
        """Lets every worker finish what it is at, and waits for the last."""
        for worker in self._workers.values():
            if worker.poll() is None:
                worker.terminate()
        self.until(
            lambda: all(worker.poll() is not None for worker in self._workers.values()), "every worker has finished"
        )

    def ctl(self, *arguments: str) -> str:
        """What `gpulockctl` prints."""
        done = subprocess.run(
            [sys.executable, "-m", "gpulockd.ctl", *arguments],
            env=_environment({"GPULOCK_SOCKET": self.socket}),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        return done.stdout or done.stderr

    def status(self) -> StatusDocument:
        with gpulock.Client(self.socket) as client:
            return client.status()

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Waits for `condition`, and tells meanwhile. Raises `Trouble` if it does not come true."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > deadline:
                raise Trouble(f"not within {PATIENCE:g} s: {what}\n{self._last_of_log()}")
            self.listen()
            time.sleep(LOOK_EVERY)
        self.listen()

    def listen(self) -> None:
        """Tells what has been written since the last time."""
        if news := self._reader.news():
            self.entries += news
            self.scene.follow(news)
            self._tell(news)

    def wrote(self, who: str, what: str) -> bool:
        return any(entry.who == who and entry.what == what for entry in self.entries)

    def pause(self, seconds: float) -> None:
        """Lets the others go on for a while."""
        end = time.monotonic() + seconds
        self.until(lambda: time.monotonic() >= end, "time passes")

    def _daemon_answers(self) -> bool:
        assert self._daemon is not None
        if (code := self._daemon.poll()) is not None:
            raise Trouble(f"the daemon ended with {code}\n{self._last_of_log()}")
        with contextlib.suppress(gpulock.DaemonUnavailable):
            return bool(self.status())
        return False

    def _last_of_log(self) -> str:
        return self._log.read_text(errors="replace")[-4000:] if self._log.exists() else ""


def _start(command: list[str], environment: Mapping[str, str], errors: IO[bytes] | None) -> subprocess.Popen[bytes]:
    """Starts it out of reach of the terminal's Ctrl-C, which is for this process to handle."""
    return subprocess.Popen(
        command,
        env=_environment(environment),
        stdin=subprocess.DEVNULL,
        stdout=errors,
        stderr=errors,
        start_new_session=True,
        preexec_fn=functools.partial(kernel.die_with_parent, os.getpid()),  # noqa: PLW1509  # it has one thread
    )


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    """This process's, without what would lead to another daemon or change this one."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    return {**own, **more}
