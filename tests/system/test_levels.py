"""Locks that last, for real: each level, for tasks that never beat, beat, and fall silent, with and without the right
to end them, and where nothing is to be taken back. The table is in docs/operations.md.

All of them live at once, since every one takes as long as its levels say.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import Daemon
from tests.support.frames import Frames
from tests.support.waiting import PATIENCE, wait_until

pytestmark = pytest.mark.system

TASKS = ("never beat", "beating", "silent")
MODES = ("taken back", "only reported", "no right to end them")
WARNING, SOFT, HARD, SILENCE = 1.0, 6.0, 8.0, 4.0
LEVELS: dict[str, object] = {
    "gpu_lock_monitor.timeout_levels.warning": WARNING,
    "gpu_lock_monitor.timeout_levels.soft_timeout": SOFT,
    "gpu_lock_monitor.timeout_levels.hard_timeout": HARD,
    "gpu_lock.lock_timeout": HARD,
    "gpu_lock_monitor.heartbeat.interval": 0.2,
    "gpu_lock_monitor.heartbeat.timeout": SILENCE,
    "daemon.revoke_grace": 0.3,
    "daemon.kill_grace": 0.3,
}
HOLD = """
import os, signal, sys, time
from tests.support.frames import Frames
task, socket, uid = sys.argv[1:]
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if uid != "own":
    os.setgroups([])
    os.setgid(int(uid))
    os.setuid(int(uid))
frames = Frames(socket)
frames.call("acquire", task=task)
print("held", flush=True)
if task == "silent":
    frames.call("beat")
while True:
    time.sleep(0.2)
    if task == "beating":
        frames.call("beat")
"""
NOBODY = 65534


class Host:
    """A daemon of a mode, its three holders, and what happened to their locks."""

    def __init__(self, mode: str, directory: Path, stack: ExitStack) -> None:
        settings = {**LEVELS, "gpu_lock_monitor.auto_recovery": str(mode != "only reported").lower()}
        helpless = mode == "no right to end them"
        under = ("setpriv", "--bounding-set=-kill", "--inh-caps=-kill") if helpless else ()
        directory.mkdir()
        self.daemon = stack.enter_context(Daemon(directory, simulate=len(TASKS), settings=settings, under=under))
        self.events: list[Any] = []
        if helpless:
            open_to_everybody(self.daemon)
        watcher = stack.enter_context(Frames(self.daemon.socket, patience=10 * PATIENCE))
        watcher.call("watch")
        threading.Thread(target=self._watch, args=(watcher,), daemon=True).start()
        self.holders: dict[str, subprocess.Popen[str]] = {}
        for task in TASKS:
            uid = str(NOBODY) if helpless else "own"
            holder = subprocess.Popen(
                [sys.executable, "-c", HOLD, task, self.daemon.socket, uid], stdout=subprocess.PIPE, text=True
            )
            self.holders[task] = holder
            stack.callback(holder.communicate)
            stack.callback(holder.kill)
        for task, holder in self.holders.items():
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n", f"{task}: {self.daemon.output()}"

    def _watch(self, watcher: Frames) -> None:
        try:
            while True:
                self.events.append(watcher.notified("event"))
        except (OSError, EOFError):
            return

    def locks(self) -> dict[str, Any]:
        return {lock["task"]: lock for lock in self.daemon.status()["locks"]}

    def of(self, task: str) -> list[Any]:
        """What happened to the lock of that task."""
        pid = self.holders[task].pid
        return [event for event in self.events if event["data"].get("pid") == pid and event["kind"] != "lock.granted"]

    def kinds(self, task: str) -> list[str]:
        return [event["kind"] for event in self.of(task)]


def open_to_everybody(daemon: Daemon) -> None:
    Path(daemon.socket).chmod(0o666)
    for directory in (daemon.directory, *daemon.directory.parents[:-1]):
        directory.chmod(directory.stat().st_mode | 0o011)


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Host]]:
    """They have all lived through their locks' ages."""
    modes = MODES if os.geteuid() == 0 and shutil.which("setpriv") else MODES[:2]
    place = tmp_path_factory.mktemp("levels")
    with ExitStack() as stack:
        hosts = {mode: Host(mode, place / str(number), stack) for number, mode in enumerate(modes)}
        last = {"taken back": "lock.ended", "only reported": "lock.overdue", "no right to end them": "lock.obstructed"}
        for mode, host in hosts.items():
            for task in TASKS:
                wait_until(
                    lambda host=host, task=task, mode=mode: last[mode] in host.kinds(task),  # type: ignore[misc]
                    lambda host=host, task=task: f"{task}: {host.kinds(task)}\n{host.daemon.output()}",  # type: ignore[misc]
                    within=HARD + 2 * PATIENCE,
                )
        yield hosts


def host_of(hosts: dict[str, Host], mode: str) -> Host:
    if mode not in hosts:
        pytest.skip("NOTHING CHECKED: only root, with setpriv, can take a daemon's right to end others")
    return hosts[mode]


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("mode", MODES)
def test_each_is_told_at_the_levels(hosts: dict[str, Host], mode: str, task: str) -> None:
    kinds = host_of(hosts, mode).kinds(task)
    levels = [kind for kind in kinds if kind in ("lock.warned", "lock.soft-timeout")]
    assert levels == ["lock.warned", "lock.soft-timeout"]
    assert kinds.count("lock.stalled") == (task == "silent")


@pytest.mark.parametrize("task", TASKS)
def test_one_that_lasts_too_long_is_taken_back(hosts: dict[str, Host], task: str) -> None:
    host = host_of(hosts, "taken back")
    taking = [event for event in host.of(task) if event["kind"] in ("lock.recalled", "lock.signalled", "lock.ended")]
    assert [event["kind"] for event in taking] == ["lock.recalled", "lock.signalled", "lock.signalled", "lock.ended"]
    reason = "stalled" if task == "silent" else "max-hold"
    assert [taking[0]["data"]["reason"], taking[-1]["data"]["how"]] == [reason, reason]
    assert [event["data"]["signal"] for event in taking[1:3]] == ["SIGTERM", "SIGKILL"]
    assert host.holders[task].wait(PATIENCE) == -signal.SIGKILL
    age = SOFT if task == "silent" else HARD
    assert age <= taking[-1]["data"]["held"]
    (past,) = host.daemon.call("history", task=task)["locks"]
    assert (past["how"], past["pid"]) == (reason, host.holders[task].pid)


@pytest.mark.parametrize("task", TASKS)
def test_one_that_is_not_to_be_taken_is_reported_and_goes_on(hosts: dict[str, Host], task: str) -> None:
    host = host_of(hosts, "only reported")
    wait_until(lambda: host.locks()[task]["time_left"] == 0.0, "its end has come")
    wait_until(
        lambda: any(event["data"].get("reason") == "max-hold" for event in host.of(task)), "that is reported, too"
    )
    reasons = [event["data"]["reason"] for event in host.of(task) if event["kind"] == "lock.overdue"]
    assert reasons == (["stalled", "max-hold"] if task == "silent" else ["max-hold"])
    assert "lock.recalled" not in host.kinds(task)
    assert host.locks()[task]["state"] == "held"
    assert host.holders[task].poll() is None
    assert host.daemon.status()["daemon"]["monitor"] == "reports"


@pytest.mark.parametrize("task", TASKS)
def test_one_that_cannot_be_ended_keeps_its_gpu_until_it_dies(hosts: dict[str, Host], task: str) -> None:
    host = host_of(hosts, "no right to end them")
    assert "lock.recalled" in host.kinds(task)
    lock = host.locks()[task]
    assert "no right to signal" in lock["recall"]["obstacle"]
    assert host.holders[task].poll() is None
    why = host.daemon.call("why", subject=lock["id"])["reasons"]
    assert any("cannot be ended" in reason for reason in why)

    os.kill(host.holders[task].pid, signal.SIGKILL)  # by somebody who may
    wait_until(lambda: task not in host.locks(), "the kernel says that it is dead")
    began = time.monotonic()
    with Frames(host.daemon.socket) as next_one:
        assert next_one.call("acquire", gpus=[lock["gpus"][0]])["token"] > lock["token"]
        next_one.call("release")
    assert time.monotonic() - began < PATIENCE
