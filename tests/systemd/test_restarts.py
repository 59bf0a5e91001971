"""Restarts, kills and an upgrade under load: workers take locks all the while, and what they wrote down is judged.

Nobody but the diaries' judge is to notice: the sockets of the workers, which this host sees in /proc, stay the same.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import pytest

from demo import diary
from demo.diary import Entry
from demo.history import DAEMON, judge
from tests.support import processes
from tests.support.waiting import wait_until

from .machine import BIN, GPUS, ROOT, Machine, carry_out, first_child, wheels_to_install

pytestmark = [pytest.mark.system, pytest.mark.root, pytest.mark.slow]

DIARIES = "/srv/diaries"
LATER = "99.0"


class Load:
    """Twice as many workers as there are GPUs, and what happened to the daemon meanwhile."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.diaries = machine.path(DIARIES)
        shutil.copytree(ROOT / "demo", machine.path("/srv/demo"), dirs_exist_ok=True)
        shutil.rmtree(self.diaries, ignore_errors=True)
        self.diaries.mkdir()
        self.fates: list[Entry] = []
        self.workers = [self._worker(number) for number in range(2 * GPUS)]

    def _worker(self, number: int) -> subprocess.Popen[str]:
        hold = f"--hold={0.02 * (1 + number % 4 * 10)}"  # from those that are always asking to those that mostly hold
        job = [f"{BIN}/python", "-m", "demo.worker", f"load-{number}", hold, "--jobs=100000"]
        return self.machine.start("env", "--chdir=/srv", f"DEMO_DIARIES={DIARIES}", *job)

    def grants(self) -> int:
        return sum(entry.what == "got" for entry in diary.read(self.diaries))

    def go_on(self, grants: int = 10) -> None:
        """Lets so many locks be granted."""
        before = self.grants()
        wait_until(lambda: self.grants() >= before + grants, "locks are granted", within=30)

    def sockets(self) -> dict[tuple[int, str], str]:
        """Those of every worker, by its process and descriptor. An inode of a socket is never used twice."""
        found: dict[tuple[int, str], str] = {}
        for worker in self.workers:
            pid = first_child(worker.pid)
            for entry in Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(FileNotFoundError):  # the diary's reader is not the only one who opens files
                    if (target := str(entry.readlink())).startswith("socket:"):
                        found[pid, entry.name] = target
        return found

    def complaints(self) -> list[Entry]:
        """Whatever went wrong by a worker's own account."""
        return [entry for entry in diary.read(self.diaries) if entry.what in ("refused", "denied")]

    def replace_daemon(self, *command: str) -> None:
        """`command` ends the daemon; another one comes up."""
        before = self.machine.main_pid()
        self._happened("kills", diary.now(), victim=DAEMON)
        self.machine.run(*command)
        wait_until(lambda: self.machine.main_pid() not in (0, before), "another daemon runs", within=30)
        wait_until(lambda: self.machine.show("ActiveState") == "active", "it is ready", within=30)
        # When this one was started, the other was dead for certain.
        self._happened("down", int(self.machine.show("ExecMainStartTimestampMonotonic")) / 1e6)
        self._happened("up", diary.now())

    def _happened(self, what: str, at: float, **facts: str) -> None:
        self.fates.append(Entry("systemd", at, what, facts))

    def end(self) -> None:
        """Lets the workers finish what they are at."""
        for worker in self.workers:
            os.kill(first_child(worker.pid), signal.SIGTERM)
        for worker in self.workers:
            assert worker.wait(60) == 0

    def entries(self) -> list[Entry]:
        return sorted([*diary.read(self.diaries), *self.fates], key=lambda entry: entry.at)


@contextmanager
def load(machine: Machine) -> Iterator[Load]:
    """Workers at work; afterwards nothing may have gone wrong with any of them."""
    working = Load(machine)
    try:
        working.go_on(3 * GPUS)
        wait_until(lambda: len(working.sockets()) == len(working.workers), "each worker has its one connection")
        yield working
        working.go_on(3 * GPUS)
        working.end()
        verdict = judge(working.entries())
        assert verdict.findings == ()
        assert verdict.holds > 6 * GPUS
    finally:
        for worker in working.workers:
            processes.end(worker)


@pytest.mark.timeout(300)
def test_nobody_notices_a_restart(machine: Machine) -> None:
    with load(machine) as working:
        before = working.sockets()
        for _ in range(20):
            working.replace_daemon("systemctl", "restart", "gpulockd.service")
            working.go_on()
        assert working.sockets() == before
        assert working.complaints() == []


@pytest.mark.timeout(300)
def test_nobody_notices_a_kill(machine: Machine) -> None:
    with load(machine) as working:
        before = working.sockets()
        for _ in range(10):
            working.replace_daemon("systemctl", "kill", "--kill-whom=main", "--signal=KILL", "gpulockd.service")
            working.go_on()
        assert working.sockets() == before
        assert working.complaints() == []


def test_an_upgrade_as_operations_md_does_it_and_back(machine: Machine, tmp_path: Path) -> None:
    later = tmp_path / "tree"
    shutil.copytree(ROOT, later, ignore=shutil.ignore_patterns(".*", "dist", "tests", "__pycache__"))
    for file in ("pyproject.toml", "gpulockd/version.py", "client/pyproject.toml", "client/gpulock/version.py"):
        text = (later / file).read_text()
        (later / file).write_text(text.replace(version("gpulockd"), LATER))
    built = wheels_to_install(tmp_path / LATER, later)

    with load(machine) as working:
        before = working.sockets()
        working.replace_daemon(*carry_out(machine, "pip install --upgrade", built))
        assert machine.status()["daemon"]["version"] == LATER
        working.go_on()
        machine.run("sh", "-c", f"cd /srv/{version('gpulockd')} && {BIN}/pip install gpulock-*.whl gpulockd-*.whl")
        working.replace_daemon("systemctl", "restart", "gpulockd.service")
        assert machine.status()["daemon"]["version"] == version("gpulockd")
        assert working.sockets() == before
