"""The daemon takes the socket that systemd has opened for it, and leaves it alone when it goes."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.daemon import Daemon

ROOT = Path(__file__).resolve().parents[2]


class ActivatedDaemon(Daemon):
    """The daemon as gpulockd.socket starts it: with the first client, on a socket that was there before it."""

    def launch(self) -> None:
        self.state.mkdir(exist_ok=True)
        # It hands on nothing of its environment but what it is told to.
        passed_on = [f"--setenv={name}={value}" for name, value in self.environment.items()]
        with self.log.open("a") as log:
            self.process = processes.start(
                [
                    "systemd-socket-activate",
                    f"--listen={self.socket}",
                    *passed_on,
                    sys.executable,
                    "-m",
                    "gpulockd",
                    *self.arguments,
                ],
                stdout=log,
                stderr=log,
                cwd=ROOT,
            )


@pytest.mark.system
def test_the_daemon_serves_on_the_socket_of_systemd_and_leaves_it_there(tmp_path: Path) -> None:
    if shutil.which("systemd-socket-activate") is None:
        pytest.skip("systemd-socket-activate is not installed: run `make debian-tools` as root")
    with ActivatedDaemon(tmp_path) as daemon:
        assert daemon.status()["gpus"]
        inode = Path(daemon.socket).stat().st_ino
        assert daemon.stop() == 0
        assert Path(daemon.socket).stat().st_ino == inode
