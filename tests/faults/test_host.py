"""The host itself is at fault: no file descriptor is left, the wall clock jumps."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.daemon import Daemon
from tests.support.frames import Frames, WireError
from tests.support.lacking import lacks
from tests.support.valkey import Valkey
from tests.support.waiting import wait_until

from .site import metrics_with, site, wait_until_renewed

pytestmark = pytest.mark.system

DAY = 86400
STALL = 2.0
"""Seconds."""


@contextmanager
def no_descriptor_left(daemon: Daemon) -> Iterator[None]:
    """What it has it keeps, and the kernel gives it no other: none but the first three."""
    soft, hard = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (3, hard))
    try:
        yield
    finally:
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (soft, hard))


def test_without_descriptors_who_is_in_is_served_and_who_is_not_waits_at_the_door(tmp_path: Path) -> None:
    with Daemon(tmp_path, simulate=1) as daemon, Frames(daemon.socket) as early:
        holder = processes.start(
            [
                sys.executable,
                "-c",
                "import gpulock, time; lock = gpulock.acquire(); print(1, flush=True); time.sleep(600)",
            ],
            environment={"GPULOCK_SOCKET": daemon.socket},
        )
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "1\n"
            request = early.send("acquire", wait_timeout=60)
            with no_descriptor_left(daemon), Frames(daemon.socket) as late:
                waiting = late.send("acquire", wait_timeout=60)
                wait_until(lambda: "server.exhausted" in daemon.output(), "it says so")
                holder.kill()
                granted = early.receive(request)
                assert granted["token"] > 0, "a death is noticed, recorded and acted upon"
                early.call("release")
                late.socket.settimeout(0.5)
                with pytest.raises(TimeoutError):
                    late.receive(waiting)
            with Frames(daemon.socket) as late:
                assert late.call("acquire", wait_timeout=60)["token"] > granted["token"], "it goes on by itself"
        finally:
            processes.end(holder)


def test_a_loop_that_stalls_does_at_once_what_became_due_and_loses_nothing(tmp_path: Path) -> None:
    """A holder dies meanwhile, a wait is over, and everybody's messages pile up."""
    with Daemon(tmp_path, simulate=2) as daemon, Frames(daemon.socket) as keeper, Frames(daemon.socket) as patient:
        kept = keeper.call("acquire", gpus=["0"])
        holder = processes.start(
            [
                sys.executable,
                "-c",
                "import gpulock, time; lock = gpulock.acquire(gpus=['1']); print(1, flush=True); time.sleep(600)",
            ],
            environment={"GPULOCK_SOCKET": daemon.socket},
        )
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "1\n"
            waits = patient.send("acquire", gpus=["1"], wait_timeout=60)
            wait_until(lambda: daemon.call("queue")["queue"], "it waits")
            with Frames(daemon.socket) as impatient:
                gives_up = impatient.send("acquire", gpus=["0"], wait_timeout=STALL / 2)
                began = time.monotonic()
                os.kill(daemon.pid, signal.SIGSTOP)
                holder.kill()
                beats = [keeper.send("beat", note=str(number)) for number in range(20)]
                time.sleep(STALL)
                os.kill(daemon.pid, signal.SIGCONT)
                with pytest.raises(WireError, match="wait-timeout") as caught:
                    impatient.receive(gives_up)
                assert STALL / 2 <= caught.value.fault["data"]["waited"] <= time.monotonic() - began + 1
            assert patient.receive(waits)["gpus"][0]["index"] == 1
            assert [keeper.receive(beat) for beat in beats], "every message is answered"
            assert kept["lock"] in [lock["id"] for lock in daemon.status()["locks"]]
        finally:
            processes.end(holder)


@pytest.mark.redis
def test_without_descriptors_redis_cannot_be_reached_again_and_status_does_not_blame_redis() -> None:
    with site() as at:
        daemon = at.host(url=at.server.url)
        daemon.start()
        with Frames(daemon.socket) as watching:
            watching.call("queue")
            with no_descriptor_left(daemon):
                at.server.kill()
                at.server.start()
                why = wait_until(lambda: _said(watching, "descriptor"), "the renewal fails for want of one")
                assert "LimitNOFILE=" in why
            wait_until(lambda: watching.call("status")["lease"]["fault"] == "", "it goes on by itself")
        counted = metrics_with(daemon, "gpu_lock_redis_up", 1)
        assert counted["gpu_lock_lease_failures_total{reason=descriptors}"] >= 1


def _said(client: Frames, word: str) -> str:
    """What keeps the lease from being held, if it has that word."""
    why: str = client.call("status")["lease"]["why"]
    return why if word in why else ""


@pytest.fixture
def wall(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that says by how much the wall clock of what is started from here on is wrong."""
    library = next(iter(Path("/usr/lib").glob("*/faketime/libfaketime.so.1")), None)
    if library is None:
        lacks("no libfaketime here to set a clock with: make debian-tools, as root on Debian")
    offset = tmp_path / "offset"
    offset.write_text("+0\n")
    for name, value in {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",
    }.items():
        monkeypatch.setenv(name, value)
    code = "import time; print(time.time(), time.clock_gettime(time.CLOCK_BOOTTIME))"
    offset.write_text(f"+{DAY}\n")
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert abs(float(told[0]) - time.time() - DAY) < 60, "the wall clock is wrong"
    assert abs(float(told[1]) - time.clock_gettime(time.CLOCK_BOOTTIME)) < 60, "and no other clock"
    offset.write_text("+0\n")
    return offset


@pytest.mark.parametrize("days", [-2, 4000], ids=lambda days: f"{days:+} days")
def test_a_wall_clock_that_jumps_ends_no_lock_no_wait_and_no_lease(wall: Path, tmp_path: Path, days: int) -> None:
    with Valkey() as server:
        settings: dict[str, object] = {"redis.url": server.url, "redis.ttl": 15, "redis.operation_timeout": 2}
        with Daemon(tmp_path, simulate=1, settings=settings) as daemon, Frames(daemon.socket) as holder:
            lock = holder.call("acquire", max_hold=3600, notify=["lost"])
            with Frames(daemon.socket) as waiter, Frames(daemon.socket) as watcher:
                request = waiter.send("acquire", wait_timeout=1800)
                wait_until(lambda: daemon.call("queue")["queue"], "it waits")
                watcher.call("watch")
                wall.write_text(f"{days * DAY:+}\n")
                wait_until_renewed(daemon)
                [held], [waiting] = daemon.status()["locks"], daemon.status()["queue"]
                assert 3500 < held["time_left"] <= 3600
                assert 1700 < waiting["time_left"] <= 1800
                assert daemon.status()["lease"]["failures"] == {}
                assert not holder.notifications
                holder.call("release")
                granted = waiter.receive(request)
                assert granted["token"] > lock["token"]
                event = watcher.notified("event")
                assert abs(event["at"] - time.time() - days * DAY) < 120, "people are shown the wall clock as it is"
                daemon.restart()
                [kept] = daemon.status()["locks"]
                assert kept["token"] == granted["token"]
                assert 0 <= kept["held_for"] < 120
