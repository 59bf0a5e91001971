"""Many clients, greedy clients and deaf ones, against a server in a process of its own: its memory stays bounded,
and the latency of others where it was.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import NamedTuple

import msgpack
import psutil
import pytest

from tests.server.house import answers, close_all
from tests.support import processes
from tests.support.frames import Frames
from tests.support.waiting import wait_until

pack = msgpack.packb
MIB = 1024 * 1024


class Served(NamedTuple):
    path: str
    process: psutil.Process

    @property
    def memory(self) -> int:
        return int(self.process.memory_info().rss)


@pytest.fixture
def served(tmp_path: Path, loop: str) -> Iterator[Served]:
    """A server whose status has 50 KiB."""
    path = str(tmp_path / "own.sock")
    command = [sys.executable, "-m", "tests.server.house", loop, path]
    process = processes.start(command, stdout=None, stderr=None)
    try:
        wait_until(lambda: answers(path) or process.poll() is not None, "the server answers")
        yield Served(path, psutil.Process(process.pid))
    finally:
        processes.end(process)


def connect(path: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.connect(path)
    return sock


def push(sock: socket.socket, data: bytes) -> int:
    """Sends as much of `data` as is taken without waiting for long."""
    sock.settimeout(0.5)
    sent = 0
    with contextlib.suppress(TimeoutError):
        while sent < len(data):
            sent += sock.send(data[sent:])
    return sent


WINDOWS = 3
"""So often it is measured at the most: what others do on this machine comes and goes, what these clients do stays."""


def latency(client: Frames, rounds: int = 300) -> float:
    """Median seconds of a request."""
    samples = []
    for _ in range(rounds):
        before = time.perf_counter()
        client.call("release")
        samples.append(time.perf_counter() - before)
    return median(samples)


def as_quick(client: Frames, calm: float) -> bool:
    """Whether requests take hardly longer than they did when it was calm."""
    return any(latency(client) < 5 * calm + 0.005 for _ in range(WINDOWS))


def test_ten_thousand_statuses_for_clients_that_never_read(served: Served) -> None:
    requests = b"".join(pack([0, msgid, "status", []]) for msgid in range(10_000))
    with Frames(served.path) as other:
        calm = latency(other)
        before = served.memory
        greedy = [connect(served.path) for _ in range(10)]
        for sock in greedy:
            push(sock, requests)
        assert served.memory - before < 25 * MIB  # were it all answered: 5 GiB
        assert as_quick(other, calm)
        close_all(greedy)
        assert other.call("release") == {}


def test_who_reads_late_gets_every_answer(served: Served) -> None:
    count = 2_000
    requests = b"".join(pack([0, msgid, "status", []]) for msgid in range(count))
    with Frames(served.path) as client:
        before = served.memory
        sender = threading.Thread(target=client.socket.sendall, args=(requests,))
        sender.start()
        with Frames(served.path) as other:
            latency(other)
        for msgid in range(count):
            assert len(client.receive(msgid)["filler"]) == 50 * 1024
        sender.join()
        assert served.memory - before < 25 * MIB


def test_a_flood_leaves_room_for_others(served: Served) -> None:
    flood = b"".join(pack([0, msgid, "nonsuch", []]) for msgid in range(20_000))
    with Frames(served.path) as other, connect(served.path) as flooder:
        calm = latency(other)
        over = threading.Event()

        def drain() -> None:
            with contextlib.suppress(ConnectionResetError):
                while flooder.recv(MIB):
                    pass

        def pour() -> None:
            flooder.sendall(flood)
            over.set()

        threads = [threading.Thread(target=each) for each in (drain, pour)]
        for thread in threads:
            thread.start()
        samples: list[float] = []
        while not over.is_set() or not samples:
            before = time.perf_counter()
            other.call("release")
            samples.append(time.perf_counter() - before)
        flooder.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()
        assert median(samples) < 20 * calm + 0.02  # the whole flood is worth several seconds


def test_two_thousand_idle_connections_cost_little(served: Served) -> None:
    with Frames(served.path) as other:
        calm = latency(other)
        before, descriptors = served.memory, served.process.num_fds()
        idle = [connect(served.path) for _ in range(2_000)]
        wait_until(lambda: served.process.num_fds() == descriptors + len(idle), "all are accepted")
        assert (served.memory - before) / len(idle) < 8 * 1024
        assert as_quick(other, calm)
        close_all(idle)
        wait_until(lambda: served.process.num_fds() == descriptors, "all are let go")
