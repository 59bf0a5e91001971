"""Sockets that systemd opened: taken over as they are, and never removed."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpulockd.ports import StartupRefused
from gpulockd.server.activation import Inherited, inherited
from gpulockd.server.endpoint import adopt
from tests.support import processes
from tests.support.waiting import PATIENCE


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "s.sock"))
        sock.listen()
        yield sock


def environ(count: object, names: str = "", pid: int | None = None) -> dict[str, str]:
    return {
        "LISTEN_PID": str(os.getpid() if pid is None else pid),
        "LISTEN_FDS": str(count),
        "LISTEN_FDNAMES": names,
        "HOME": "/",
    }


class TestInherited:
    def test_nothing(self) -> None:
        assert inherited({"HOME": "/"}) == []

    def test_names_and_numbers(self, listening: socket.socket) -> None:
        number = listening.fileno()
        os.set_inheritable(number, True)
        variables = environ(1, "gpulockd.socket")
        assert inherited(variables, first=number) == [Inherited("gpulockd.socket", number)]
        assert variables == {"HOME": "/"}, "no child is to take them for its own"
        assert not os.get_inheritable(number)

    def test_without_names(self, listening: socket.socket) -> None:
        assert inherited(environ(1), first=listening.fileno()) == [Inherited("unknown", listening.fileno())]

    def test_meant_for_another_process(self) -> None:
        variables = environ(1, pid=1)
        assert inherited(variables) == []
        assert variables == {"HOME": "/"}

    @pytest.mark.parametrize("count", ["many", "-1", "²"])
    def test_no_number(self, count: str) -> None:
        with pytest.raises(StartupRefused, match=r"LISTEN_FDS=.* is not a number"):
            inherited(environ(count))

    def test_a_descriptor_that_is_not_open(self) -> None:
        with pytest.raises(StartupRefused, match="descriptor 987, which LISTEN_FDS announces, is not open"):
            inherited(environ(1), first=987)


class TestAdopt:
    def test_nothing(self) -> None:
        assert adopt([]) is None

    def test_it_is_taken_over_and_its_file_left_in_place(self, tmp_path: Path, listening: socket.socket) -> None:
        endpoint = adopt([Inherited("gpulockd.socket", os.dup(listening.fileno()))])
        assert endpoint is not None
        assert endpoint.path == str(tmp_path / "s.sock")
        assert not endpoint.socket.getblocking()
        endpoint.close()
        assert (tmp_path / "s.sock").exists()

    def test_more_than_one(self) -> None:
        with pytest.raises(StartupRefused, match=r"2 sockets \(a, b\)"):
            adopt([Inherited("a", 3), Inherited("b", 4)])

    def test_a_connection_is_no_listening_socket(self) -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs, pytest.raises(StartupRefused, match="not listening"):
            adopt([Inherited("s", ours.fileno())])

    def test_another_family(self) -> None:
        with socket.socket(socket.AF_INET) as sock:
            sock.bind(("127.0.0.1", 0))
            sock.listen()
            with pytest.raises(StartupRefused, match="no Unix stream socket"):
                adopt([Inherited("s", sock.fileno())])

    def test_no_socket(self, tmp_path: Path) -> None:
        with (tmp_path / "file").open("w") as file, pytest.raises(StartupRefused, match="no socket"):
            adopt([Inherited("s", file.fileno())])


AS_SYSTEMD_DOES = """
import os, sys

os.dup2(int(sys.argv[1]), 3)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "gpulockd.socket"}
os.execv(sys.executable, [sys.executable, "-c", sys.argv[2]])
"""
CHILD = """
import os
from gpulockd.server.activation import inherited
from gpulockd.server.endpoint import adopt

endpoint = adopt(inherited())
endpoint.socket.setblocking(True)
connection, _ = endpoint.socket.accept()
connection.send(f"{os.getpid()} {endpoint.path} {sorted(k for k in os.environ if k.startswith('LISTEN'))}".encode())
endpoint.close()
"""


def test_in_a_process_that_was_started_the_way_systemd_does(tmp_path: Path, listening: socket.socket) -> None:
    number = listening.fileno()
    child = processes.start(
        [sys.executable, "-c", AS_SYSTEMD_DOES, str(number), CHILD],
        pass_fds=[number],
        stderr=None,
    )
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(PATIENCE)
            client.connect(str(tmp_path / "s.sock"))
            assert client.recv(1000).decode() == f"{child.pid} {tmp_path / 's.sock'} []"
        assert child.wait(PATIENCE) == 0
        assert (tmp_path / "s.sock").exists()
    finally:
        processes.end(child)
