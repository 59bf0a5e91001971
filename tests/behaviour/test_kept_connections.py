"""Under a service manager that keeps descriptors, the daemon goes away and nobody who is connected notices."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import msgpack
import pytest

import gpulock
from tests.support import processes
from tests.support.frames import Frames
from tests.support.pid_one import ManagedDaemon, PidOne
from tests.support.waiting import wait_until

from .storm import Storm

pytestmark = pytest.mark.system

ENDS = ("kill", "stop")


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[PidOne]:
    with PidOne(tmp_path) as manager:
        yield manager


@pytest.fixture
def daemon(tmp_path: Path, manager: PidOne) -> Iterator[ManagedDaemon]:
    with ManagedDaemon(tmp_path, manager) as daemon:
        yield daemon


@pytest.fixture
def connect(daemon: ManagedDaemon) -> Iterator[Any]:
    """Opens a connection; it is closed in the end."""
    opened: list[Frames] = []

    def open_one() -> Frames:
        opened.append(Frames(daemon.socket))
        return opened[-1]

    yield open_one
    for frames in opened:
        frames.close()


def replace(daemon: ManagedDaemon, how: str) -> None:
    getattr(daemon, how)()
    daemon.start()


def holders(daemon: ManagedDaemon) -> list[tuple[str, bool]]:
    return [(lock["id"], lock["connected"]) for lock in daemon.status()["locks"]]


@pytest.mark.parametrize("how", ENDS)
def test_locks_places_and_connections_are_as_they_were(daemon: ManagedDaemon, connect: Any, how: str) -> None:
    holder, first, second, idle, silent = (connect() for _ in range(5))
    lock = holder.call("acquire", gpus=2)
    asked_first = first.send("acquire", task="first", notify=["queued"])
    assert first.notified("queued")["position"] == 1
    second.call("hello")
    asked_second = second.send("acquire", task="second")
    assert idle.call("hello", client="idle")["restart_safe"] is True
    daemon.kept(5)

    replace(daemon, how)
    assert holders(daemon) == [(lock["lock"], True)]
    assert [waiting["task"] for waiting in daemon.call("queue")["queue"]] == ["first", "second"]
    assert first.notified("queued")["position"] == 1

    assert holder.call("release")["lock"] == lock["lock"]
    granted = [first.receive(asked_first), second.receive(asked_second)]
    assert lock["token"] < granted[0]["token"] < granted[1]["token"]
    assert all(each.call("queue") for each in (idle, silent))
    daemon.kept(5)


@pytest.mark.parametrize("how", ENDS)
def test_what_was_sent_while_the_daemon_was_away_is_answered(daemon: ManagedDaemon, connect: Any, how: str) -> None:
    holder, other = connect(), connect()
    lock = holder.call("acquire", gpus=2)
    daemon.kept(2)
    getattr(daemon, how)()
    extended, asked = holder.send("extend", max_hold=50), other.send("acquire")
    released = holder.send("release")
    daemon.start()
    assert holder.receive(extended) == {"lock": lock["lock"], "max_hold": pytest.approx(50)}
    assert holder.receive(released)["lock"] == lock["lock"]
    assert other.receive(asked)["token"] > lock["token"]


def test_a_frame_cut_in_half_ends_its_connection_only(daemon: ManagedDaemon, connect: Any) -> None:
    cut, other = connect(), connect()
    key = cut.call("hello")["reattach"]
    lock, others = cut.call("acquire"), other.call("acquire")
    daemon.kept(2)
    frame = msgpack.packb([0, 77, "release", []])
    cut.socket.sendall(frame[:3])
    daemon.kept(2, busy=1)
    replace(daemon, "kill")

    with pytest.raises((EOFError, ConnectionError)):
        cut.call("queue")
    assert other.call("extend", max_hold=60)["lock"] == others["lock"]
    assert sorted(holders(daemon)) == sorted([(lock["lock"], False), (others["lock"], True)])
    back = connect()
    assert [each["lock"] for each in back.call("hello", reattach=key)["locks"]] == [lock["lock"]]
    assert back.call("release")["lock"] == lock["lock"]


def test_a_stopping_daemon_waits_for_the_rest_of_a_frame(daemon: ManagedDaemon, connect: Any) -> None:
    client = connect()
    lock = client.call("acquire")
    daemon.kept(1)
    frame = msgpack.packb([0, 77, "release", []])
    client.socket.sendall(frame[:3])
    daemon.kept(1, busy=1)

    def say_the_rest() -> None:
        wait_until(lambda: {"STOPPING": "1"} in daemon.manager.messages, "it stops")
        client.socket.sendall(frame[3:])

    speaking = threading.Thread(target=say_the_rest)
    speaking.start()
    replace(daemon, "stop")
    speaking.join()
    assert client.receive(77)["lock"] == lock["lock"]


def test_over_the_limit_a_session_is_told_and_comes_back_by_its_key(tmp_path: Path) -> None:
    with PidOne(tmp_path, limit=4) as manager, ManagedDaemon(tmp_path, manager) as daemon, ExitStack() as connections:

        def connect(key: str) -> tuple[Frames, Any]:
            client = connections.enter_context(Frames(daemon.socket))
            return client, client.call("hello", reattach=key)

        first, hello = connect("first")
        assert hello["restart_safe"] is True
        wait_until(lambda: sessions(first) == 1, "whoever asked whether the daemon answers is gone")
        second, hello = connect("second")
        assert hello["restart_safe"] is True
        third, hello = connect("third")
        assert hello["restart_safe"] is False
        safe, unsafe = first.call("acquire")["lock"], third.call("acquire")["lock"]
        daemon.kept(2)

        second.close()
        daemon.kept(1)
        fourth, hello = connect("fourth")
        assert hello["restart_safe"] is True, "there is room again"
        daemon.kept(2)
        daemon.kill()
        daemon.launch()
        locks = fourth.call("status")["locks"]
        assert {lock["id"]: lock["connected"] for lock in locks} == {safe: True, unsafe: False}
        with pytest.raises((EOFError, ConnectionError)):
            third.call("queue")
        _, hello = connect("third")
        assert [lock["lock"] for lock in hello["locks"]] == [unsafe]


def test_a_store_that_became_smaller_keeps_no_more_than_it_says(daemon: ManagedDaemon, connect: Any) -> None:
    """Four connections are in it when it has room for two: a fifth is not, whichever line is free."""
    manager = daemon.manager
    leaving, *others = (connect() for _ in range(4))
    for client in (leaving, *others):
        assert client.call("hello")["restart_safe"] is True
    daemon.kept(4)
    leaving.close()
    daemon.kept(3)
    daemon.kill()
    manager.limit = 4  # of which one is the roll, and one could be the listener
    daemon.launch()

    unsafe = connect()
    hello = unsafe.call("hello")
    assert hello["restart_safe"] is False
    lock = unsafe.call("acquire")["lock"]
    for client in others[:2]:
        assert client.call("queue")
        client.close()
    daemon.kept(1)
    assert connect().call("hello")["restart_safe"] is True, "there is room again"
    daemon.kept(2)
    assert connect().call("hello")["restart_safe"] is False

    replace(daemon, "kill")
    with pytest.raises((EOFError, ConnectionError)):
        unsafe.call("queue")
    assert [each["lock"] for each in connect().call("hello", reattach=hello["reattach"])["locks"]] == [lock]
    assert others[2].call("queue")


def sessions(frames: Frames) -> int:
    return int(frames.call("status")["daemon"]["sessions"])


HOLD = """
import sys
from tests.support.frames import Frames
with Frames(sys.argv[1]) as frames:
    session = frames.call("hello")["session"]
    frames.call("acquire", gpus=2)
    print(session, flush=True)
    sys.stdin.readline()
"""


@pytest.mark.parametrize("lost", [False, True], ids=["kept", "lost"])
def test_a_client_that_died_while_the_daemon_was_away(daemon: ManagedDaemon, connect: Any, lost: bool) -> None:
    """Whether or not its connection is still there: the kernel says it, and nobody waits for the dead."""
    waiting = connect()
    process = processes.start([sys.executable, "-c", HOLD, daemon.socket], stdin=subprocess.PIPE, stderr=None)
    try:
        assert process.stdout is not None
        session = int(process.stdout.readline())
        asked = waiting.send("acquire")
        daemon.kept(2)
        daemon.kill()
        if lost:
            lose_connection(daemon.manager, session)
    finally:
        processes.end(process)
    daemon.start()
    assert waiting.receive(asked)["token"]
    assert daemon.call("history")["locks"][0]["how"] == "died"
    daemon.kept(1)


def lose_connection(manager: PidOne, session: int) -> None:
    (name,) = (name for name in manager.names if name.startswith(f"client-{session}."))
    manager.lose(name)


def test_a_client_whose_connection_the_store_lost_keeps_what_it_holds(daemon: ManagedDaemon, connect: Any) -> None:
    """As where systemd's own limit is below the one that the daemon knows."""
    holder, waiting = connect(), connect()
    hello = holder.call("hello")
    lock = holder.call("acquire", gpus=2)["lock"]
    asked = waiting.send("acquire")
    daemon.kept(2)
    daemon.kill()
    lose_connection(daemon.manager, hello["session"])
    daemon.start()
    with pytest.raises((EOFError, ConnectionError)):
        holder.call("queue")
    assert holders(daemon) == [(lock, False)]
    assert "1 connections of the daemon before are lost" in daemon.log.read_text()
    back = connect()
    assert [each["lock"] for each in back.call("hello", reattach=hello["reattach"])["locks"]] == [lock]
    assert back.call("release")["lock"] == lock
    assert waiting.receive(asked)["token"]


@pytest.mark.parametrize(("last_word", "how"), [("release", "released"), ("", "disconnected")])
def test_a_client_that_hung_up_while_the_daemon_was_away(
    daemon: ManagedDaemon, connect: Any, last_word: str, how: str
) -> None:
    leaving, waiting = connect(), connect()
    leaving.call("acquire", gpus=2)
    asked = waiting.send("acquire")
    daemon.kept(2)
    daemon.kill()
    if last_word:
        leaving.send(last_word)
    leaving.close()
    daemon.start()
    assert waiting.receive(asked)["token"]
    assert daemon.call("history")["locks"][0]["how"] == how
    daemon.kept(1)


def test_a_closed_connection_leaves_the_store_and_is_closed_for_its_client(daemon: ManagedDaemon, connect: Any) -> None:
    rude, leaving = connect(), connect()
    assert all(each.call("queue") for each in (rude, leaving))
    daemon.kept(2)
    rude.socket.sendall(b"\xc1 is no MessagePack")
    assert rude.notified("error")["code"] == "protocol-error"
    with pytest.raises((EOFError, ConnectionError)):
        rude.call("queue")
    leaving.close()
    daemon.kept(0)
    assert {"FDSTOREREMOVE", "FDNAME"} in [set(message) for message in daemon.manager.messages]


def test_a_watcher_goes_on_watching(daemon: ManagedDaemon, connect: Any) -> None:
    watcher, other = connect(), connect()
    watcher.call("watch")
    daemon.kept(2)
    replace(daemon, "kill")
    lock = other.call("acquire")

    def hears() -> bool:
        while True:
            event = watcher.notified("event")
            if event["kind"] == "lock.granted":
                return bool(event["data"]["lock"] == lock["lock"])

    assert hears()


def test_without_its_roll_every_connection_is_ended(daemon: ManagedDaemon, connect: Any) -> None:
    client = connect()
    key = client.call("hello")["reattach"]
    lock = client.call("acquire")["lock"]
    daemon.kept(1)
    daemon.kill()
    daemon.manager.lose("roll")
    daemon.start()
    with pytest.raises((EOFError, ConnectionError)):
        client.call("queue")
    assert [each["lock"] for each in connect().call("hello", reattach=key)["locks"]] == [lock]


def started_anew(state: Path) -> None:
    for file in state.iterdir():
        if file.name.startswith("journal"):
            file.unlink()


def without_its_last_turns(state: Path) -> None:
    os.truncate(state / "journal.sqlite-turns", 0)


def by_an_older_copy(state: Path) -> None:
    for end in ("", "-wal", "-shm"):
        (state / f"journal.sqlite{end}").unlink()
    shutil.copyfile(state / "copy", state / "journal.sqlite")


@pytest.mark.parametrize("replaced", [started_anew, without_its_last_turns, by_an_older_copy])
def test_a_journal_that_has_forgotten_locks_leaves_nobody_believing_in_them(
    daemon: ManagedDaemon, replaced: Callable[[Path], None]
) -> None:
    """Whose connection went on would never hear that its GPU is somebody else's by now."""
    daemon.stop()
    shutil.copyfile(daemon.state / "journal.sqlite", daemon.state / "copy")
    daemon.start()
    with pytest.raises(gpulock.LockLost), gpulock.acquire(gpus=2, socket=daemon.socket) as lock:
        daemon.kept(1)
        daemon.kill()
        replaced(daemon.state)
        daemon.start()
        assert wait_until(lambda: lock.lost_reason, "it is told") == "not-reattached"


def test_a_listener_of_its_own_is_kept_with_those_who_wait_at_it(tmp_path: Path, manager: PidOne) -> None:
    with ManagedDaemon(tmp_path, manager, door=False) as daemon:
        wait_until(lambda: manager.names == ["listener", "roll"], "the listener is kept")
        inode = Path(daemon.socket).stat().st_ino
        daemon.stop()
        with Frames(daemon.socket) as client:
            asked = client.send("queue")
            daemon.launch()
            assert client.receive(asked)
            assert Path(daemon.socket).stat().st_ino == inode
            daemon.kept(1)
            replace(daemon, "kill")
            assert client.call("queue")


def test_a_manager_that_does_not_read_keeps_nobody_waiting(daemon: ManagedDaemon, connect: Any) -> None:
    daemon.manager.stall()
    clients = [connect() for _ in range(40)]
    for _ in range(3):
        assert all(client.call("queue") for client in clients)
    daemon.manager.go_on()
    daemon.kept(40)


def test_without_a_store_nothing_changes(daemon: ManagedDaemon, connect: Any) -> None:
    """The next daemon is one of a unit without `FileDescriptorStoreMax=`, which is given what was kept before."""
    client = connect()
    key = client.call("hello")["reattach"]
    client.call("acquire")
    daemon.kept(1)
    daemon.manager.offers = False
    replace(daemon, "kill")
    with pytest.raises((EOFError, ConnectionError)):
        client.call("queue")
    back = connect().call("hello", reattach=key)
    assert back["restart_safe"] is False
    assert len(back["locks"]) == 1


class Requests(Storm):
    """Clients of which each has a connection of its own.

    A request on a connection that did not break is answered, and answered once: `Frames` would not know the second.
    """

    def __init__(self, path: str, clients: int) -> None:
        self.path = path
        self.broken = 0
        super().__init__([partial(self._run, number) for number in range(clients)])

    def _run(self, number: int) -> None:
        while not self.over.is_set():
            try:
                with Frames(self.path) as frames:
                    frames.call("hello", reattach=f"storm {number}")
                    self._work(frames, number)
            except (EOFError, ConnectionError):
                with self.mutex:
                    self.broken += 1

    def _work(self, frames: Frames, number: int) -> None:
        for lock in frames.call("hello", reattach=f"storm {number}")["locks"]:
            frames.call("release", lock=lock["lock"])
        while not self.over.is_set():
            lock = frames.call("acquire", wait_timeout=60)
            (gpu,) = (gpu["index"] for gpu in lock["gpus"])
            with self.holding(gpu, number):
                pass  # to ask for the next one is all that it wants it for
            frames.call("release", lock=lock["lock"])


@pytest.mark.parametrize(("how", "times"), [("kill", 4), ("stop", 3)])
def test_under_a_storm_of_requests_none_is_lost_and_none_answered_twice(
    daemon: ManagedDaemon, how: str, times: int
) -> None:
    lulls = random.Random(7)
    storm = Requests(daemon.socket, clients=6)
    try:
        for _ in range(times):
            storm.go_on(20)
            time.sleep(0.1 + lulls.random() * 0.1)  # any moment will do
            replace(daemon, how)
    finally:
        storm.end()
    if how == "stop":
        assert storm.broken == 0
    else:
        assert storm.broken <= times * 6
