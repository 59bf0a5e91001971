"""The whole daemon on the pretended driver: a GPU that hangs, seen by the others, by waiters, by a quarantine."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pynvml
import pytest

from tests.support import processes
from tests.support.daemon import Daemon
from tests.support.fake_nvml import GIB, Call, FakeNvml, FakeProcess
from tests.support.frames import Frames
from tests.support.waiting import PATIENCE, wait_until

pytestmark = pytest.mark.system

NVML_TIMEOUT = 2.0
PROMPT = 1.5
"""Seconds that an answer may take on a busy machine, and shorter than `NVML_TIMEOUT`."""


@pytest.fixture
def daemon(nvml: FakeNvml, tmp_path: Path) -> Iterator[Daemon]:
    settings: dict[str, object] = {
        "inventory.nvml_timeout": NVML_TIMEOUT,
        "inventory.quarantine_recheck": 0.2,
        "gpu_lock_monitor.monitor_interval": 1,
    }
    with Daemon(tmp_path, simulate=None, settings=settings) as daemon:
        yield daemon


def gpu(daemon: Daemon, index: int) -> Any:
    return daemon.status()["gpus"][index]


def test_a_gpu_that_hangs_is_not_granted_and_the_others_are(daemon: Daemon, nvml: FakeNvml) -> None:
    nvml.hang(0)
    wait_until(lambda: gpu(daemon, 0)["fault"], "the GPU is called sick")
    assert "no answer from NVML within 2 s" in gpu(daemon, 0)["fault"]
    with Frames(daemon.socket) as client, Frames(daemon.socket) as other:
        waiting = client.send("acquire", gpus=["0"])
        wait_until(lambda: daemon.call("queue")["queue"], "it waits for the GPU that hangs")
        began = time.monotonic()
        assert other.call("acquire", gpus=["1"])["gpus"][0]["index"] == 1
        other.call("release")
        assert time.monotonic() - began < PROMPT
        nvml.resume(0)
        assert client.receive(waiting)["gpus"][0]["index"] == 0


def test_answers_are_prompt_while_nvml_is_silent(daemon: Daemon, nvml: FakeNvml) -> None:
    """A daemon that waited for NVML itself would be late by its timeout once in each look."""
    nvml.hang(0, 1, 2)
    slowest = 0.0
    with Frames(daemon.socket) as client:
        deadline = time.monotonic() + 3 * NVML_TIMEOUT
        while time.monotonic() < deadline:
            began = time.monotonic()
            client.call("queue")
            slowest = max(slowest, time.monotonic() - began)
    assert slowest < PROMPT


def test_a_dead_holders_gpu_stays_nobodys_while_nvml_is_silent(daemon: Daemon, nvml: FakeNvml) -> None:
    holder = processes.start([sys.executable, "-c", HOLDER, daemon.socket], stdin=subprocess.PIPE)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        nvml.hang(0)
        wait_until(lambda: nvml.traffic(0).inside, "NVML hangs")
        with Frames(daemon.socket) as client:
            waiting = client.send("acquire", gpus=["0"])
            wait_until(lambda: daemon.call("queue")["queue"], "the next one waits")
            holder.kill()
            wait_until(lambda: gpu(daemon, 0)["state"] == "quarantined", "the GPU is in quarantine")
            nvml.set_processes(0, [FakeProcess(holder.pid, 1)])
            nvml.resume(0)
            wait_until(lambda: culprits(daemon) == [holder.pid], lambda: f"blamed: {gpu(daemon, 0)}")
            nvml.set_processes(0, [])
            assert client.receive(waiting)["gpus"][0]["index"] == 0
    finally:
        processes.end(holder)


def test_where_nvml_cannot_tell_an_abandoned_gpu_waits_for_its_owners_end(daemon: Daemon, nvml: FakeNvml) -> None:
    """The owner lives, and has said nothing since the daemon was restarted: no grace makes its GPU anybody's."""
    nvml.fail(0, pynvml.NVML_ERROR_NOT_SUPPORTED, Call.COMPUTE)
    daemon.settings["daemon.reattach_grace"] = 0.3
    holder = processes.start([sys.executable, "-c", HOLDER, daemon.socket], stdin=subprocess.PIPE)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        daemon.kill()
        daemon.start()
        wait_until(lambda: gpu(daemon, 0)["quarantine"], "the grace is over")
        daemon.kill()
        daemon.start()
        with Frames(daemon.socket) as client:
            waiting = client.send("acquire", gpus=["0"])
            wait_until(lambda: daemon.call("queue")["queue"], "it waits")
            assert gpu(daemon, 0)["quarantine"]["awaited"] is True
            assert gpu(daemon, 0)["clear_by"] == "holder"
            told = daemon.call("why", subject="0")
            assert f"pid {holder.pid} had L" in told["reasons"][-1]
            assert f"kill {holder.pid}" in told["next"]
            holder.kill()
            assert client.receive(waiting)["gpus"][0]["index"] == 0
    finally:
        processes.end(holder)


HOLDER = """
import sys
from tests.support.frames import Frames
frames = Frames(sys.argv[1])
frames.call("acquire", gpus=["0"])
print("held", flush=True)
sys.stdin.read()
"""


def culprits(daemon: Daemon) -> list[int]:
    return [culprit["pid"] for culprit in (gpu(daemon, 0)["quarantine"] or {"culprits": ()})["culprits"]]


def test_history_has_what_the_driver_saw_under_a_lock(daemon: Daemon, nvml: FakeNvml) -> None:
    def looked(memory: int, load: float) -> bool:
        seen = gpu(daemon, 0)
        return bool((seen["memory_used"], seen["utilization"]) == (memory, load))

    with Frames(daemon.socket) as client:
        client.call("acquire", gpus=["0"], task="train")
        nvml.set_memory(0, 3 * GIB)
        wait_until(lambda: looked(3 * GIB, 0.0), "it is seen with nothing to do")
        nvml.set_memory(0, GIB)
        nvml.set_utilization(0, 80)
        nvml.set_processes(0, [FakeProcess(1, GIB)])
        wait_until(lambda: looked(2 * GIB, 0.8), "it is seen at work")
        client.call("release")
        (ended,) = client.call("history", gpu="0", task="train")["locks"]
        assert client.call("history", gpu="1", task="train")["locks"] == []
    assert ended["peak_memory"] == 3 * GIB
    assert 0 < ended["idle"] < ended["watched"] <= ended["held"]
    assert [stranger["pid"] for stranger in ended["strangers"]] == [1]


def test_without_a_driver_it_refuses_to_start_and_says_both_ways_out(nvml: FakeNvml, tmp_path: Path) -> None:
    nvml.fail_init(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)
    daemon = Daemon(tmp_path, simulate=None)
    daemon.launch()
    try:
        assert daemon.process is not None
        assert daemon.process.wait(PATIENCE) not in (0, 1)
    finally:
        daemon.end()
    assert "NVML Shared Library Not Found" in daemon.output()
    assert "install the NVIDIA driver" in daemon.output()
    assert "--simulate N" in daemon.output()
    assert "Traceback" not in daemon.output()
