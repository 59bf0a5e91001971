"""The daemon is killed in the midst of a request, under a service manager that keeps connections: they stay open."""

from __future__ import annotations

import asyncio
import os
import random
import re
import time
from collections.abc import Iterator
from pathlib import Path

import msgpack
import pytest

import gpulock
from gpulock import aio
from tests.support.frames import Frames
from tests.support.pid_one import ManagedDaemon, PidOne
from tests.support.waiting import wait_until

from .storm import Storm

pytestmark = pytest.mark.system

RELEASE = msgpack.packb([0, 77, "release", []])


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[ManagedDaemon]:
    with PidOne(tmp_path) as manager, ManagedDaemon(tmp_path, manager) as daemon:
        yield daemon


@pytest.fixture
def client(daemon: ManagedDaemon) -> Iterator[Frames]:
    with Frames(daemon.socket) as client:
        client.call("hello", reattach="secret", resumes=True)
        yield client


def begin_anew(client: Frames) -> list[str]:
    """As its daemon asks it to; the locks that it has."""
    marker = client.notified("resume")["marker"]
    client.socket.sendall(msgpack.packb([2, "resumed", [{"marker": marker}]]))
    return [lock["lock"] for lock in client.call("hello", reattach="secret", resumes=True)["locks"]]


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_half_a_frame_of_the_client_ends_nothing(daemon: ManagedDaemon, client: Frames, how: str) -> None:
    lock = client.call("acquire")["lock"]
    daemon.kept(1)
    client.socket.sendall(RELEASE[:3])
    daemon.kept(1, busy=1)
    getattr(daemon, how)()
    daemon.start()
    client.socket.sendall(RELEASE[3:])
    assert begin_anew(client) == [lock]
    daemon.kept(1)
    assert client.call("release")["lock"] == lock


def test_killed_again_before_the_client_has_answered(daemon: ManagedDaemon, client: Frames) -> None:
    lock = client.call("acquire")["lock"]
    daemon.kept(1)
    client.socket.sendall(RELEASE[:3])
    daemon.kept(1, busy=1)
    for _ in range(3):
        daemon.kill()
        daemon.start()
        daemon.kept(1, busy=1)
    for _ in range(2):
        client.notified("resume")  # of daemons that are gone
    assert begin_anew(client) == [lock]


def waiting(frames: Frames) -> list[str]:
    return [each["task"] for each in frames.call("queue")["queue"]]


def test_a_place_in_the_queue_is_kept(daemon: ManagedDaemon, client: Frames) -> None:
    with Frames(daemon.socket) as holder, Frames(daemon.socket) as later:
        lock = holder.call("acquire", gpus=2)["lock"]
        client.send("acquire", task="first")
        wait_until(lambda: waiting(holder) == ["first"], "it waits")
        asked_later = later.send("acquire", gpus=2, task="later")
        daemon.kept(3)
        client.socket.sendall(RELEASE[:3])
        daemon.kept(3, busy=1)
        daemon.kill()
        daemon.start()
        assert begin_anew(client) == []
        asked = client.send("acquire", task="first")
        wait_until(lambda: waiting(holder) == ["first", "later"], "it waits where it did")
        holder.call("release", lock=lock)
        first = client.receive(asked)
        client.call("release", lock=first["lock"])
        assert first["token"] < later.receive(asked_later)["token"]


def test_an_answer_that_may_be_half_sent_ends_its_connection(daemon: ManagedDaemon, client: Frames) -> None:
    lock = client.call("acquire", labels={f"label-{number}": "x" * 200 for number in range(16)})["lock"]
    daemon.kept(1)
    questions = b"".join(msgpack.packb([0, msgid, "status", []]) for msgid in range(100, 400))
    client.socket.sendall(questions)
    daemon.kept(1, busy=1)
    wait_until(lambda: torn(daemon), "more than the socket takes is on its way")
    daemon.kill()
    daemon.start()
    with pytest.raises((EOFError, ConnectionError)):
        begin_anew(client)
    with Frames(daemon.socket) as back:
        assert [each["lock"] for each in back.call("hello", reattach="secret")["locks"]] == [lock]


def torn(daemon: ManagedDaemon) -> bool:
    return any(line.torn for line in daemon.manager.lines())


class Clients(Storm):
    """Threads, and tasks of one event loop, of which each has its locks on one connection."""

    def __init__(self, path: str, threads: int, tasks: int) -> None:
        self.path = path
        self.sockets: set[int] = set()
        """The inodes of all the connections that locks came over."""
        super().__init__([*[self._run] * threads, lambda: asyncio.run(self._run_tasks(tasks))])

    def _run(self) -> None:
        while not self.over.is_set():
            with (
                gpulock.acquire(socket=self.path, wait_timeout=60) as lock,
                self.holding(lock.gpus[0].index, lock.id),
            ):
                self._came_over(lock._connection.fileno())

    async def _run_tasks(self, tasks: int) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(tasks):
                group.create_task(self._run_task())

    async def _run_task(self) -> None:
        while not self.over.is_set():
            async with aio.acquire(socket=self.path, wait_timeout=60) as lock:
                with self.holding(lock.gpus[0].index, lock.id):
                    transport = lock._connection.transport
                    assert transport is not None
                    self._came_over(transport.get_extra_info("socket").fileno())
                    await asyncio.sleep(0)

    def _came_over(self, descriptor: int) -> None:
        with self.mutex:
            self.sockets.add(os.fstat(descriptor).st_ino)


@pytest.mark.timeout(300)
def test_whenever_it_is_killed_every_client_keeps_its_connection(daemon: ManagedDaemon) -> None:
    workers, chance = 8, random.Random(4)
    storm = Clients(daemon.socket, threads=workers // 2, tasks=workers // 2)
    try:
        wait_until(lambda: len(storm.sockets) == daemon.manager.clients() == workers, "each has one that is kept")
        while interrupted(daemon) < 2 * workers:
            time.sleep(chance.random() * 0.02)  # any moment will do
            daemon.kill()
            daemon.start()
            storm.go_on(50)
    finally:
        storm.end()
    assert len(storm.sockets) == workers


def interrupted(daemon: ManagedDaemon) -> int:
    """How many connections were in the midst of something when their daemon was killed, by its successors' account."""
    return sum(map(int, re.findall(r"go on; (\d+) were in the midst of something", daemon.log.read_text())))
