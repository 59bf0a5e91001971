"""Who keeps memory on a GPU from one task to the next is no stranger to it, whatever became of the daemon meanwhile."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import processes
from tests.support.daemon import Daemon
from tests.support.fake_nvml import GIB, FakeNvml, FakeProcess
from tests.support.frames import Frames
from tests.support.waiting import PATIENCE, wait_until

pytestmark = pytest.mark.system

STRANGER = 1
"""A pid that is somebody's, and never had a lock."""

WORKER = """
import subprocess, sys
from tests.support.frames import Frames
with Frames(sys.argv[1]) as frames:
    frames.call("acquire", gpus=["0"])
    child = subprocess.Popen(["sleep", "600"])
    print(child.pid, flush=True)
    sys.stdin.readline()
    frames.call("release")
    print("idle", flush=True)
    sys.stdin.read()
child.kill()
"""


class Worker:
    """Has the lock of GPU 0, and started a process under it; then it lies idle, and is connected."""

    def __init__(self, daemon: Daemon) -> None:
        self.process = processes.start([sys.executable, "-c", WORKER, daemon.socket], stdin=subprocess.PIPE)
        self.pid = self.process.pid
        self.child = int(self._hear())

    def release(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        assert self._hear() == "idle"

    def end(self) -> None:
        self.process.communicate("", PATIENCE)

    def _hear(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()


@pytest.fixture(params=["wait", "report"])
def daemon(nvml: FakeNvml, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Daemon]:
    settings: dict[str, object] = {"inventory.foreign": request.param, "gpu_lock_monitor.monitor_interval": 1}
    with Daemon(tmp_path, simulate=None, settings=settings) as daemon:
        yield daemon


@pytest.fixture
def worker(daemon: Daemon) -> Iterator[Worker]:
    worker = Worker(daemon)
    try:
        yield worker
    finally:
        worker.end()


def relations(daemon: Daemon) -> dict[int, str]:
    """Of whoever is on GPU 0. Asking for them has the daemon look."""
    seen: Any = daemon.status()["gpus"][0]["processes"]
    return {process["pid"]: process["relation"] for process in seen}


def test_an_idle_worker_is_no_stranger_to_the_next_daemon(daemon: Daemon, nvml: FakeNvml, worker: Worker) -> None:
    nvml.set_processes(0, [FakeProcess(worker.pid, GIB), FakeProcess(worker.child, GIB)])
    wait_until(lambda: set(relations(daemon).values()) == {"holder"}, "the daemon sees both")
    worker.release()
    for _ in range(2):
        daemon.restart()
        assert relations(daemon) == {worker.pid: "tenant", worker.child: "tenant"}
    with Frames(daemon.socket) as other:
        other.call("acquire", gpus=["0"], wait_timeout=0)
        other.call("release")
    assert daemon.call("history", gpu="0")["locks"][0]["strangers"] == []


def test_nor_is_one_that_no_look_saw_before_the_daemon_was_killed(
    daemon: Daemon, nvml: FakeNvml, worker: Worker
) -> None:
    worker.release()
    daemon.kill()
    nvml.set_processes(0, [FakeProcess(worker.pid, GIB)])
    daemon.start()
    assert relations(daemon) == {worker.pid: "tenant"}


def test_whoever_had_no_lock_is_a_stranger_still(daemon: Daemon, nvml: FakeNvml, worker: Worker) -> None:
    worker.release()
    nvml.set_processes(0, [FakeProcess(worker.pid, GIB), FakeProcess(STRANGER, GIB)])
    daemon.restart()
    assert relations(daemon) == {worker.pid: "tenant", STRANGER: "foreign"}


def test_whoever_has_left_a_gpu_once_is_a_stranger_when_it_comes_again(
    daemon: Daemon, nvml: FakeNvml, worker: Worker
) -> None:
    """As it is to a daemon that goes on."""
    nvml.set_processes(0, [FakeProcess(worker.pid, GIB)])
    wait_until(lambda: relations(daemon), "the daemon sees it")
    worker.release()
    wait_until(lambda: not daemon.call("status")["locks"], "it has let go")
    nvml.set_processes(0, [])
    wait_until(lambda: not relations(daemon), "the daemon sees that it has left")
    daemon.kill()
    nvml.set_processes(0, [FakeProcess(worker.pid, GIB)])
    daemon.start()
    assert relations(daemon) == {worker.pid: "foreign"}


def test_a_look_that_takes_long_forgets_nobody_who_has_come_since_it_began(
    daemon: Daemon, nvml: FakeNvml, worker: Worker
) -> None:
    """One card that hangs holds up what was seen of the others: by then it is old."""
    nvml.hang(1)
    wait_until(lambda: nvml.traffic(1).inside, "a look has begun")
    worker.release()
    nvml.set_processes(0, [FakeProcess(worker.pid, GIB)])
    wait_until(lambda: daemon.call("status")["gpus"][1]["fault"], "that look has ended")
    wait_until(lambda: relations(daemon) == {worker.pid: "tenant"}, lambda: f"it is known: {relations(daemon)}")
