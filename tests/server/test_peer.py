"""Who is at the other end: the kernel's word, not the client's."""

from __future__ import annotations

import errno
import os
import select
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from gpulockd.server.peer import peer_of
from tests.support import processes
from tests.support.waiting import PATIENCE


def test_the_process_that_connected() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        peer = peer_of(ours)
        assert (peer.pid, peer.uid, peer.gid) == (os.getpid(), os.geteuid(), os.getegid())
        assert peer.pidfd is not None
        assert not os.get_inheritable(peer.pidfd)
        os.close(peer.pidfd)


def test_the_descriptor_is_of_that_very_process(tmp_path: Path) -> None:
    """A child that inherits the connection changes nothing; the parent's end does."""
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        script = (
            "import os, socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);"
            "pid = os.fork(); input() if pid else (s.send(b'x'), s.recv(1))"
        )
        parent = processes.start([sys.executable, "-c", script, path], stdin=-1)
        connection, _ = listener.accept()
        with connection:
            peer = peer_of(connection)
            assert peer.pid == parent.pid
            assert peer.pidfd is not None
            assert select.select([peer.pidfd], [], [], 0)[0] == []
            connection.settimeout(PATIENCE)
            assert connection.recv(1) == b"x"  # from the child
            processes.end(parent)
            assert select.select([peer.pidfd], [], [], PATIENCE)[0] == [peer.pidfd]
            os.close(peer.pidfd)
            connection.settimeout(0.05)
            with pytest.raises(TimeoutError):  # the child keeps the connection open
                connection.recv(1)


class Kernel:
    """A socket of a kernel that answers SO_PEERPIDFD with an error."""

    def __init__(self, number: int) -> None:
        self.number = number

    def getsockopt(self, level: int, option: int, size: int = 0) -> Any:
        if option == socket.SO_PEERCRED:
            return (42).to_bytes(4, "little") + (1000).to_bytes(4, "little") + (100).to_bytes(4, "little")
        raise OSError(self.number, os.strerror(self.number))


def test_a_kernel_without_peer_pidfds() -> None:
    assert peer_of(Kernel(errno.ENOPROTOOPT)) == (42, 1000, 100, None)  # type: ignore[arg-type]


@pytest.mark.parametrize("number", [errno.ESRCH, errno.ENODATA, errno.EINVAL])
def test_a_peer_that_has_ended_may_have_lent_its_number_to_another(number: int) -> None:
    with pytest.raises(ConnectionAbortedError, match="process 42 connected and ended at once"):
        peer_of(Kernel(number))  # type: ignore[arg-type]


def test_no_descriptor_left() -> None:
    with pytest.raises(OSError, match="Too many open files"):
        peer_of(Kernel(errno.EMFILE))  # type: ignore[arg-type]
