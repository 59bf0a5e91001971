"""The daemon does its work under the limits of its unit: with one privilege and few system calls."""

from __future__ import annotations

import ctypes
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.packaging import sandbox
from tests.support import processes
from tests.support.daemon import Daemon
from tests.support.fake_nvml import FakeNvml
from tests.support.frames import Frames
from tests.support.waiting import PATIENCE

ROOT = Path(__file__).resolve().parents[2]
SERVICE = ROOT / "systemd/gpulockd.service"
NOBODY = 65534

# Becomes another user, and holds GPU 0 until it is ended.
HOLDER = """
import os, sys
from tests.support.frames import Frames
os.setgroups([])
os.setgid(int(sys.argv[2]))
os.setuid(int(sys.argv[2]))
frames = Frames(sys.argv[1])
print(frames.call("acquire", gpus=["0"])["lock"], flush=True)
sys.stdin.read()
"""


class ConfinedDaemon(Daemon):
    """The daemon with CAP_KILL as its only privilege and under the unit's filters.

    It stays the user it is: an interpreter in root's home would be out of reach of another.
    """

    def launch(self) -> None:
        only_kill = ["setpriv", "--no-new-privs", "--inh-caps=-all,+kill", "--bounding-set=-all,+kill"]
        confined = [sys.executable, "-m", "tests.packaging.sandbox", str(SERVICE)]
        self.state.mkdir(exist_ok=True)
        with self.log.open("a") as log:
            self.process = processes.start(
                [*only_kill, *confined, sys.executable, "-m", "gpulockd", *self.arguments],
                environment=self.environment,
                stdout=log,
                stderr=log,
                cwd=ROOT,
            )


def what_is_missing() -> str:
    """Why the daemon cannot be confined here; empty if it can."""
    for tool in ("systemd-analyze", "setpriv"):
        if shutil.which(tool) is None:
            return f"{tool} is not installed: run `make debian-tools` as root"
    try:
        ctypes.CDLL(sandbox.LIBSECCOMP)
    except OSError:
        return f"{sandbox.LIBSECCOMP} is not installed: run `make debian-tools` as root"
    if tuple(map(int, platform.release().split("-")[0].split(".")[:2])) < (6, 3):
        return "this kernel is older than 6.3, which brought the prctl that stands for MemoryDenyWriteExecute="
    return ""


@pytest.fixture
def daemon() -> Iterator[ConfinedDaemon]:
    """A confined daemon that asks a driver, in a process of its own, which GPUs there are."""
    if reason := what_is_missing():
        pytest.skip(reason)
    # Not tmp_path: that is closed to other users, and the holder is one.
    with tempfile.TemporaryDirectory(prefix="gpulockd-", dir="/tmp") as name:
        directory = Path(name)
        directory.chmod(0o755)
        with pytest.MonkeyPatch.context() as patch:
            for key, value in FakeNvml(directory, gpus=2).environment().items():
                patch.setenv(key, value)
            with ConfinedDaemon(directory, simulate=None) as daemon:
                yield daemon


@pytest.mark.root
@pytest.mark.system
def test_a_confined_daemon_serves_and_survives(daemon: ConfinedDaemon) -> None:
    status = Path(f"/proc/{daemon.pid}/status").read_text()
    assert f"CapEff:\t{1 << 5:016x}" in status
    assert "Seccomp:\t2" in status
    assert [gpu["fault"] for gpu in daemon.status()["gpus"]] == [None, None]

    with Frames(daemon.socket) as frames:
        first = frames.call("acquire", gpus=1)
        frames.call("release")
    daemon.restart()
    with Frames(daemon.socket) as frames:
        assert frames.call("acquire", gpus=1)["token"] > first["token"]


@pytest.mark.root
@pytest.mark.system
def test_a_confined_daemon_can_end_a_holder_of_another_user(daemon: ConfinedDaemon) -> None:
    Path(daemon.socket).chmod(0o666)
    command = [sys.executable, "-c", HOLDER, daemon.socket, str(NOBODY)]
    holder = processes.start(command, stdin=subprocess.PIPE, cwd=ROOT)
    try:
        assert holder.stdout is not None
        lock = holder.stdout.readline().strip()
        daemon.call("revoke", subject=lock, reason="test of the unit", grace=0)
        assert holder.wait(PATIENCE) in (-signal.SIGTERM, -signal.SIGKILL)
    finally:
        processes.end(holder)
