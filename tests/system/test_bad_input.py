"""Whatever a client sends, it gets a clear error or the end of its connection, and nobody else notices.

Another client goes on all the time, one `status`-free cycle after the other; its median latency under abuse is held
against the same measurement just before.
"""

from __future__ import annotations

import contextlib
import os
import random
import resource
import select
import socket
import statistics
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgpack
import pytest

from tests.support.daemon import Daemon
from tests.support.frames import Frames, WireError
from tests.support.waiting import wait_until

CYCLES = 300
SLOWER = 3.0
"""A bound on the ratio of two medians on a machine of two cores, of which the abuser takes one."""
WINDOWS = 3
"""So often it is measured at the most: what others do on this machine comes and goes, what an abuser does stays."""
MEMORY = 32 * 2**20
"""Bytes by which the daemon may grow."""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    settings: dict[str, object] = {"daemon.max_sessions": 4096, "daemon.max_sessions_per_user": 4096}
    with Daemon(tmp_path_factory.mktemp("d"), simulate=2, settings=settings) as daemon:
        yield daemon
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def resident(pid: int) -> int:
    """Bytes of memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def median_cycle(daemon: Daemon, cycles: int = CYCLES) -> float:
    """Seconds of an acquire and a release, in the middle of many."""
    with Frames(daemon.socket) as client:
        took = []
        for _ in range(cycles):
            began = time.perf_counter()
            client.call("acquire", wait_timeout=10)
            client.call("release")
            took.append(time.perf_counter() - began)
    return statistics.median(took)


def nobody_is_slower(daemon: Daemon, before: float, begin: Callable[[], object] = lambda: None) -> None:
    """Measures again, and compares. `begin`: what is to be under way, where that comes to an end by itself."""
    medians: list[float] = []
    while len(medians) < WINDOWS and (not medians or medians[-1] >= SLOWER * before):
        begin()
        medians.append(median_cycle(daemon))
    assert medians[-1] < SLOWER * before, f"{medians} s, and {before} s before"


@contextlib.contextmanager
def meanwhile(abuse: Callable[[], object]) -> Iterator[None]:
    """Runs `abuse` again and again beside the block, at a pace that leaves the others a core."""
    stop = threading.Event()

    def run() -> None:
        while not stop.is_set():
            abuse()
            stop.wait(0.005)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def connected(daemon: Daemon) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(20)
    sock.connect(daemon.socket)
    return sock


def answer_to(daemon: Daemon, data: bytes) -> list[Any]:
    """Everything that comes back for `data` until the daemon closes, or has said all there is to say."""
    with connected(daemon) as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        unpacker = msgpack.Unpacker(strict_map_key=False)
        with contextlib.suppress(ConnectionResetError):
            while received := sock.recv(65536):
                unpacker.feed(received)
        return list(unpacker)


def packed(*message: object) -> bytes:
    data: bytes = msgpack.packb(list(message))
    return data


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\xc1", "protocol-error"),
        (b"GET / HTTP/1.1\r\n\r\n", "protocol-error"),
        (b"\xc6" + struct.pack(">I", 2**30) + b"x", "protocol-error"),  # a length header of 1 GiB
        (b"\xdd" + struct.pack(">I", 2**31), "protocol-error"),  # an array of two thousand million
        (b"\x91" * 10_000, "protocol-error"),  # nested without end
        (packed(0, 1, "acquire", [{"task": {"a": 1}}]), "invalid-request"),  # a map where a string belongs
        (packed(0, 1, "acquire", [{"gpus": "x" * 70_000}]), "protocol-error"),  # over the limit of a frame
        (packed(0, 1, "acquire", {"gpus": 1}), "invalid-request"),
        (packed(0, 1, "acquire", [{"gpus": -1}]), "invalid-request"),
        (packed(0, 1, "acquire", [{"wait_timeout": float("nan")}]), "invalid-request"),
        (packed(0, 1, "acquire", [{b"\xff": 1}]), "invalid-request"),
        (packed(0, 1, "no such method", []), "unknown-method"),
        (packed(1, 1, None, "an answer that nobody asked for"), "protocol-error"),
        (packed("hello"), "protocol-error"),
    ],
)
def test_what_is_wrong_is_said(daemon: Daemon, data: bytes, code: str) -> None:
    (answer,) = answer_to(daemon, data)
    fault = answer[2] if answer[0] == 1 else answer[2][0]
    assert fault["code"] == code
    assert fault["message"]


def test_bytes_that_stop_in_the_middle_of_a_frame_are_nobodys_business(daemon: Daemon) -> None:
    whole = packed(0, 1, "acquire", [{"task": "x" * 500}])
    for end in range(1, len(whole), 37):
        with connected(daemon) as sock:
            sock.sendall(whole[:end])
    assert answer_to(daemon, packed(0, 1, "queue", []))[0][3] == {"schema_version": 1, "queue": []}


@pytest.mark.parametrize(
    "data",
    [b"\xc6" + struct.pack(">I", 2**30) + b"x" * 4000, packed(0, 1, "acquire", [{"task": "x" * 60_000}])[:-1]],
    ids=["a length header of 1 GiB", "a frame without its end"],
)
def test_what_is_promised_and_does_not_come_costs_nobody_anything(daemon: Daemon, data: bytes) -> None:
    """Some of those who send it leave at once; some stay, as if there were more to come."""
    before, memory = median_cycle(daemon), resident(daemon.pid)
    with ExitStack() as staying:
        for _ in range(64):
            with contextlib.suppress(OSError):  # whoever promises too much is cut off
                staying.enter_context(connected(daemon)).sendall(data)

        def abuse() -> None:
            with contextlib.suppress(OSError):
                answer_to(daemon, data)

        with meanwhile(abuse):
            nobody_is_slower(daemon, before)
        assert resident(daemon.pid) - memory < MEMORY


def test_random_bytes_hurt_nobody(daemon: Daemon) -> None:
    chance = random.Random(2026)
    before, memory = median_cycle(daemon), resident(daemon.pid)

    def abuse() -> None:
        with contextlib.suppress(OSError):
            answer_to(daemon, chance.randbytes(chance.randrange(1, 4000)))

    with meanwhile(abuse):
        nobody_is_slower(daemon, before)
    assert resident(daemon.pid) - memory < MEMORY


def test_ten_thousand_requests_without_a_look_at_the_answers(daemon: Daemon) -> None:
    before, memory = median_cycle(daemon), resident(daemon.pid)
    requests = b"".join(packed(0, number, "status", []) for number in range(10_000))
    with ExitStack() as those_who_do_not_read:

        def flood() -> None:
            deaf = those_who_do_not_read.enter_context(connected(daemon))
            deaf.setblocking(False)
            sent = 0
            with contextlib.suppress(BlockingIOError):
                while sent < len(requests):
                    sent += deaf.send(requests[sent:])

        nobody_is_slower(daemon, before, flood)
        assert resident(daemon.pid) - memory < MEMORY


def test_two_thousand_idle_connections(daemon: Daemon) -> None:
    before, memory = median_cycle(daemon), resident(daemon.pid)
    with ExitStack() as idle:
        for _ in range(2000):
            idle.enter_context(connected(daemon))
        nobody_is_slower(daemon, before)
        assert resident(daemon.pid) - memory < MEMORY
        assert daemon.status()["daemon"]["sessions"] >= 2000


def test_no_user_gets_more_than_its_share(tmp_path: Path) -> None:
    """Of waiting requests, of locks and of bytes that are kept, on as many connections as it likes."""
    limits = {"max_requests_per_user": 3, "max_locks_per_user": 2, "max_buffered_mib_per_user": 1}
    settings: dict[str, object] = {f"daemon.{name}": limit for name, limit in limits.items()}
    with Daemon(tmp_path, simulate=3, settings=settings) as daemon, ExitStack() as stack:
        clients = [stack.enter_context(Frames(daemon.socket)) for _ in range(7)]
        told = clients[0].call("hello")["limits"]
        assert (told["requests_per_user"], told["locks_per_user"], told["buffered_bytes_per_user"]) == (3, 2, 2**20)
        for client in clients[:2]:
            client.call("acquire")
        with pytest.raises(WireError, match=r"limit-exceeded: uid \d+ holds 2 locks"):
            clients[2].call("acquire")
        clients[0].call("release")
        waiting = []
        for client in clients[2:5]:
            waiting.append(client.send("acquire", gpus=3))
            wait_until(lambda: len(daemon.call("queue")["queue"]) == len(waiting), "it waits")
        with pytest.raises(WireError, match=r"limit-exceeded: uid \d+ has 3 waiting requests"):
            clients[5].call("acquire", gpus=3)
        clients[1].call("release")
        assert clients[2].receive(waiting[0])["gpus"]

        half = packed(0, 1, "acquire", [{"task": "x" * 60_000}])[:-1]
        halves = [stack.enter_context(connected(daemon)) for _ in range(2**20 // len(half) + 1)]
        for sock in halves:
            sock.sendall(half)
        cut_off, _, _ = select.select(halves, [], [], 20)
        assert len(cut_off) == 1, "one is too many"
        assert b"limit-exceeded" in cut_off[0].recv(65536)
        assert clients[6].call("queue")["queue"], "the others are served as before"


def test_a_watcher_that_never_reads_is_cut_off(daemon: Daemon) -> None:
    before, memory = median_cycle(daemon), resident(daemon.pid)
    with connected(daemon) as deaf:
        deaf.sendall(packed(0, 1, "watch", []))
        assert deaf.recv(100) == packed(1, 1, None, {})
        cut_off = daemon.output().count("session.cut-off")
        with Frames(daemon.socket) as client:
            deadline = time.monotonic() + 60
            while daemon.output().count("session.cut-off") == cut_off:
                assert time.monotonic() < deadline, "the watcher that does not read was never cut off"
                client.call("acquire", labels={str(number): "x" * 1000 for number in range(8)}, task="x" * 1000)
                client.call("release")
        assert resident(daemon.pid) - memory < MEMORY
    nobody_is_slower(daemon, before)
