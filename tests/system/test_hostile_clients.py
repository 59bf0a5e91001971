"""What clients may say of themselves, and hand over, and how fast they may come and go: none of it counts."""

from __future__ import annotations

import array
import contextlib
import os
import socket
import statistics
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgpack
import pytest

from tests.support.daemon import Daemon
from tests.support.frames import Frames, WireError
from tests.support.waiting import wait_until

COMINGS = 6000
"""More than can wait at the door."""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Daemon(tmp_path_factory.mktemp("d"), simulate=1) as daemon:
        yield daemon


def descriptors(daemon: Daemon) -> int:
    return len(list(Path(f"/proc/{daemon.pid}/fd").iterdir()))


def owner_of_the_lock(daemon: Daemon) -> tuple[int, int]:
    (lock,) = daemon.status()["locks"]
    return lock["owner"]["pid"], lock["owner"]["uid"]


@pytest.mark.parametrize("claim", [{"pid": 1}, {"uid": 0}, {"user": "root"}, {"owner": {"pid": 1, "uid": 0}}])
def test_who_a_client_says_that_it_is_is_no_parameter(daemon: Daemon, claim: dict[str, object]) -> None:
    with Frames(daemon.socket) as client:
        for method in ("hello", "acquire"):
            with pytest.raises(WireError, match=r"invalid-request: .*unknown parameter"):
                client.call(method, **claim)


def test_credentials_that_a_client_sends_count_for_nothing(daemon: Daemon) -> None:
    """Root may send any pid and uid along with its bytes; nobody reads them."""
    with Frames(daemon.socket) as client:
        frame = msgpack.packb([0, 77, "acquire", []])
        told = struct.pack("3i", 1 if os.geteuid() == 0 else os.getpid(), os.geteuid(), os.getegid())
        client.socket.sendmsg([frame], [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, told)])
        client.receive(77)
        assert owner_of_the_lock(daemon) == (os.getpid(), os.geteuid())


def test_descriptors_that_a_client_sends_are_not_kept(daemon: Daemon) -> None:
    with Frames(daemon.socket) as client, contextlib.ExitStack() as stack:
        assert client.call("queue")
        before = descriptors(daemon)
        for number in range(50):
            read, write = os.pipe()
            stack.callback(os.close, read)
            rights = array.array("i", [write] * 100)
            frame = msgpack.packb([0, 100 + number, "queue", []])
            client.socket.sendmsg([frame], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
            os.close(write)
            assert client.receive(100 + number)
            assert os.read(read, 1) == b"", "the daemon holds nothing of it open"
        assert descriptors(daemon) <= before + 2


def test_clients_that_come_and_go_without_a_word_are_nobodys_business(daemon: Daemon) -> None:
    before = descriptors(daemon)
    ended = threading.Event()

    def come_and_go() -> None:
        for number in range(COMINGS):
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as sock:
                sock.connect(daemon.socket)
                if number % 3 == 0:
                    sock.sendall(b"\x94\x00")
        ended.set()

    flood = threading.Thread(target=come_and_go)
    took = []
    with Frames(daemon.socket) as client:
        flood.start()
        while not ended.is_set():
            began = time.perf_counter()
            client.call("acquire", wait_timeout=30)
            client.call("release")
            took.append(time.perf_counter() - began)
            ended.wait(0.005)
        flood.join()
    assert statistics.median(took) < 0.25, "who is there is served while others come and go"
    wait_until(lambda: descriptors(daemon) <= before + 2, "nothing is left of them")
    assert daemon.status()["daemon"]["sessions"] <= 2
