"""What a dead holder left in the control group that it had for itself, on a whole daemon with a pretended driver."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import processes
from tests.support.control_groups import ControlGroup, control_group
from tests.support.daemon import Daemon
from tests.support.fake_nvml import GIB, FakeNvml, FakeProcess
from tests.support.frames import Frames
from tests.support.waiting import wait_until

pytestmark = pytest.mark.system

WORKER = """
import subprocess, sys
from tests.support.frames import Frames
frames = Frames(sys.argv[1])
frames.call("acquire", gpus=[sys.argv[2]])
left = subprocess.Popen(["setsid", "sh", "-c", "sleep 600 & echo $!"], stdout=subprocess.PIPE)
print(int(left.stdout.readline()), left.wait(), flush=True)
sys.stdin.read()
"""
"""Takes a GPU, and leaves a process behind that is no child, and in no session, of anybody."""


@pytest.fixture
def daemon(nvml: FakeNvml, tmp_path: Path) -> Iterator[Daemon]:
    settings: dict[str, object] = {"inventory.quarantine_recheck": 0.2, "inventory.orphans": "kill"}
    with Daemon(tmp_path, simulate=None, settings=settings) as daemon:
        yield daemon


@pytest.fixture
def container() -> Iterator[ControlGroup]:
    with control_group("container") as group:
        yield group


Begin = Callable[[str], tuple[subprocess.Popen[str], int]]


@pytest.fixture
def begin(daemon: Daemon, container: ControlGroup) -> Iterator[Begin]:
    """Starts a worker in the container, that holds a GPU; says which process it would leave behind."""
    started: list[subprocess.Popen[str]] = []

    def begin_one(gpu: str) -> tuple[subprocess.Popen[str], int]:
        command = container.runs(sys.executable, "-c", WORKER, daemon.socket, gpu)
        started.append(worker := processes.start(command, stdin=subprocess.PIPE, stderr=None))
        assert worker.stdout is not None
        return worker, int(worker.stdout.readline().split()[0])

    yield begin_one
    for worker in started:
        processes.end(worker)


def culprits(daemon: Daemon) -> list[tuple[int, str]]:
    quarantine: Any = daemon.status()["gpus"][0]["quarantine"]
    return [(each["pid"], each["tie"]) for each in quarantine["culprits"]] if quarantine else []


def test_the_next_one_waits_until_it_has_left_over_a_restart_too(daemon: Daemon, nvml: FakeNvml, begin: Begin) -> None:
    worker, orphan = begin("0")
    daemon.kill()
    worker.kill()
    worker.wait()
    nvml.set_processes(0, [FakeProcess(orphan, GIB)])
    daemon.start()
    with Frames(daemon.socket) as client:
        waiting = client.send("acquire", gpus=["0"])
        wait_until(lambda: culprits(daemon) == [(orphan, "cgroup")], "it is in the way")
        told = daemon.call("why", subject="0")["reasons"]
        assert any("in the control group that the holder had for itself, is still on it" in reason for reason in told)
        os.kill(orphan, 0)  # `inventory.orphans: kill` is for those of whom it is certain
        nvml.set_processes(0, [])
        assert client.receive(waiting)["gpus"][0]["index"] == 0


def test_workers_of_one_container_do_not_wait_for_each_other(daemon: Daemon, nvml: FakeNvml, begin: Begin) -> None:
    """Each has a context on both GPUs, and holds one."""
    first, left = begin("0")
    second, _ = begin("1")
    nvml.set_processes(0, [FakeProcess(pid, GIB) for pid in (first.pid, second.pid, left)])
    with Frames(daemon.socket) as client:
        waiting = client.send("acquire", gpus=["0"])
        wait_until(lambda: daemon.call("queue")["queue"], "it waits")
        first.kill()
        wait_until(lambda: culprits(daemon) == [(first.pid, "process")], "the dead one alone is in the way")
        nvml.set_processes(0, [FakeProcess(pid, GIB) for pid in (second.pid, left)])
        assert client.receive(waiting)["gpus"][0]["index"] == 0
    assert second.poll() is None
