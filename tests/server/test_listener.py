"""Accepting: in portions, and through a shortage of descriptors."""

from __future__ import annotations

import asyncio
import errno
import resource
import socket
import sys
from pathlib import Path

import psutil
import pytest

from gpulockd.core.actions import Announce
from gpulockd.server.endpoint import bind
from gpulockd.server.listener import ACCEPTS_PER_TURN, Listener
from tests.server.house import LOOPS, answers, close_all
from tests.support import processes
from tests.support.frames import Frames
from tests.support.waiting import eventually, wait_until


class Door:
    """A listener whose `admit` keeps the sockets, or fails."""

    def __init__(self, path: Path) -> None:
        self.endpoint = bind(str(path))
        self.admitted: list[socket.socket] = []
        self.announced: list[Announce] = []
        self.failures: list[OSError] = []
        self.listener = Listener(self.endpoint.socket, self.admit, self.announced.append)

    def admit(self, sock: socket.socket) -> None:
        assert not sock.getblocking()
        if self.failures:
            sock.close()
            raise self.failures.pop(0)
        self.admitted.append(sock)

    def knock(self, count: int) -> list[socket.socket]:
        knocking = []
        for _ in range(count):
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(self.endpoint.path)
            knocking.append(sock)
        return knocking

    def close(self) -> None:
        self.listener.stop()
        self.endpoint.close()
        close_all(self.admitted)


@pytest.fixture
def run(loop: str) -> asyncio.Runner:
    return asyncio.Runner(loop_factory=LOOPS[loop])


def test_a_flood_is_accepted_in_portions(run: asyncio.Runner, tmp_path: Path) -> None:
    async def scenario() -> None:
        door = Door(tmp_path / "s")
        clients = door.knock(3 * ACCEPTS_PER_TURN)
        door.listener.start()
        portions: list[int] = []
        while sum(portions) < len(clients):
            before = len(door.admitted)
            await asyncio.sleep(0)
            portions.append(len(door.admitted) - before)
        assert max(portions) == ACCEPTS_PER_TURN
        door.close()
        close_all(clients)

    with run:
        run.run(scenario())


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS])
def test_without_descriptors_the_door_is_shut_for_a_while(
    run: asyncio.Runner, tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gpulockd.server.listener.REST", 0.02)

    async def scenario() -> None:
        door = Door(tmp_path / "s")
        door.failures = [OSError(number, "none left") for _ in range(3)]
        door.listener.start()
        clients = door.knock(5)
        await eventually(lambda: len(door.admitted) == 2, "the rest are let in later")
        assert [each.kind for each in door.announced] == ["server.exhausted"], "said once"
        assert "LimitNOFILE" in door.announced[0].message
        door.failures = [OSError(number, "none left")]
        await eventually(lambda: door.admitted[-1].fileno() >= 0)
        clients += door.knock(1)
        await eventually(lambda: len(door.announced) == 2, "said again after it had been well")
        door.close()
        close_all(clients)

    with run:
        run.run(scenario())


def test_who_has_gone_again_is_passed_over(run: asyncio.Runner, tmp_path: Path) -> None:
    async def scenario() -> None:
        door = Door(tmp_path / "s")
        door.failures = [ConnectionAbortedError(errno.ESRCH, "ended")]
        clients = door.knock(3)
        door.listener.start()
        await eventually(lambda: len(door.admitted) == 2)
        assert door.announced == []
        door.close()
        close_all(clients)

    with run:
        run.run(scenario())


def test_stopped_while_it_rests_it_does_not_start_again(
    run: asyncio.Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gpulockd.server.listener.REST", 0.02)

    async def scenario() -> None:
        door = Door(tmp_path / "s")
        door.failures = [OSError(errno.EMFILE, "none left")]
        clients = door.knock(2)
        door.listener.start()
        await eventually(lambda: door.announced)
        door.close()
        await asyncio.sleep(0.1)
        assert door.admitted == []
        close_all(clients)

    with run:
        run.run(scenario())


def test_a_server_that_really_runs_out_serves_on_and_recovers(loop: str, tmp_path: Path) -> None:
    path = tmp_path / "own.sock"
    child = processes.start(
        [sys.executable, "-m", "tests.server.house", loop, str(path)],
        stdout=None,
        stderr=None,
    )
    try:
        wait_until(lambda: answers(str(path)), "it answers")
        with Frames(str(path)) as early:
            assert early.call("release") == {}
            process = psutil.Process(child.pid)
            most = process.num_fds() + 10
            resource.prlimit(child.pid, resource.RLIMIT_NOFILE, (most, most))
            crowd = []
            for _ in range(40):
                sock = socket.socket(socket.AF_UNIX)
                sock.connect(str(path))
                crowd.append(sock)
            wait_until(lambda: process.num_fds() >= most - 1, "none is left")
            assert early.call("release") == {}
            before = sum(process.cpu_times()[:2])
            for _ in range(20):
                assert early.call("release") == {}
            assert sum(process.cpu_times()[:2]) - before < 0.5, "it does not spin"
            close_all(crowd)
            with Frames(str(path)) as late:
                assert late.call("release") == {}
    finally:
        processes.end(child)
