"""`make demo` itself: it holds, it can fail, and it leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.waiting import PATIENCE, wait_until

ROOT = Path(__file__).parents[2]
MARK = "DEMO_RUN_MARK"

pytestmark = [pytest.mark.system, pytest.mark.slow]


class Run:
    """One run, and all processes that come of it: they inherit its mark."""

    def __init__(self, directory: Path, *arguments: str) -> None:
        """`directory`: for its temporary files, among them a socket, whose path has to be short."""
        self.mark = f"{MARK}={uuid.uuid4()}"
        self.output = directory / "output"
        name, _, value = self.mark.partition("=")
        with self.output.open("w") as output:
            self.process = processes.start(
                [sys.executable, str(ROOT / "demo" / "run.py"), *arguments],
                environment={name: value, "TMPDIR": str(directory)},
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def text(self) -> str:
        return self.output.read_text()

    def left_behind(self) -> list[str]:
        """Command lines of processes that bear the mark."""
        found = []
        for directory in Path("/proc").glob("[0-9]*"):
            try:
                if self.mark.encode() in (directory / "environ").read_bytes().split(b"\0"):
                    found.append((directory / "cmdline").read_bytes().replace(b"\0", b" ").decode())
            except OSError:
                continue  # it ended, or is somebody else's
        return found


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Run]]:
    """Both at the same time: they mostly wait."""
    started = {
        "honest": Run(tmp_path_factory.mktemp("honest")),
        "cheating": Run(tmp_path_factory.mktemp("cheating"), "--cheat"),
    }
    yield started
    for run in started.values():
        processes.end(run.process)


def test_it_shows_what_it_is_there_to_show(runs: dict[str, Run]) -> None:
    run = runs["honest"]
    code = run.process.wait(100)
    text = run.text()
    assert code == 0, text
    assert "speech       kill -9" in text
    assert "daemon       kill -9" in text
    assert "preview      gave up after 1." in text
    assert "$ gpulockctl status" in text
    assert "SIMULATED" in text
    assert "still has its lock" in text
    assert "The lock held, by what the workers wrote down" in text
    assert "\x1b" not in text, "colours are for terminals"
    assert run.left_behind() == []


def test_its_verdict_fails_where_somebody_works_without_a_lock(runs: dict[str, Run]) -> None:
    run = runs["cheating"]
    code = run.process.wait(100)
    text = run.text()
    assert code == 1, text
    assert "The lock did not hold" in text
    assert "✗ two at once on GPU 0" in text
    assert run.left_behind() == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_it_ends_what_it_started_when_stopped(tmp_path: Path, number: signal.Signals, code: int) -> None:
    run = Run(tmp_path)
    try:
        wait_until(lambda: "granted" in run.text(), run.text)
        wait_until(lambda: len(run.left_behind()) >= 7, "itself, a daemon and its workers run")
        os.kill(run.process.pid, number)
        assert run.process.wait(PATIENCE) == code, run.text()
        assert run.left_behind() == []
        assert list(tmp_path.iterdir()) == [run.output]
        assert "Traceback" not in run.text()
    finally:
        processes.end(run.process)


def test_nothing_runs_on_when_it_is_killed(tmp_path: Path) -> None:
    run = Run(tmp_path)
    try:
        wait_until(lambda: "granted" in run.text(), run.text)
        run.process.kill()
        wait_until(lambda: not run.left_behind(), "its processes end with it")
    finally:
        processes.end(run.process)
