"""A lock belongs to the process that connected: a forked child that still has the socket keeps nothing alive."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon import Daemon
from tests.support.frames import Frames

FORKS_AND_ENDS = """
import os, socket, sys
import msgpack
sock = socket.socket(socket.AF_UNIX)
sock.connect(sys.argv[1])
if sys.argv[2] == "holding":
    sock.sendall(msgpack.packb([0, 1, "acquire", []]))
    print(msgpack.unpackb(sock.recv(65536))[3]["lock"], flush=True)
if os.fork():
    os._exit(0)
if sys.argv[2] == "connected":
    sock.sendall(msgpack.packb([0, 1, "acquire", []]))
    print(msgpack.unpackb(sock.recv(65536)), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with Daemon(tmp_path, simulate=1) as daemon:
        yield daemon


def parent(daemon: Daemon, when: str) -> subprocess.Popen[str]:
    """A process that leaves its connection to a child, which lives until its standard input is closed."""
    command = [sys.executable, "-c", FORKS_AND_ENDS, daemon.socket, when]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_the_lock_of_a_dead_parent_goes_to_the_next(daemon: Daemon) -> None:
    with parent(daemon, "holding") as dead, Frames(daemon.socket) as next_one:
        assert dead.stdout is not None
        assert dead.stdout.readline().startswith("L")
        assert next_one.call("acquire", wait_timeout="20s")["token"] > 0
        assert dead.wait() == 0


def test_a_parent_that_died_at_the_door_leaves_its_child_nothing(daemon: Daemon) -> None:
    os.kill(daemon.pid, signal.SIGSTOP)
    try:
        with parent(daemon, "connected") as dead:
            assert dead.wait(20) == 0
            os.kill(daemon.pid, signal.SIGCONT)
            assert dead.stdout is not None
            assert f"process {dead.pid} connected and has ended" in dead.stdout.readline()
            assert daemon.status()["locks"] == []
    finally:
        os.kill(daemon.pid, signal.SIGCONT)
