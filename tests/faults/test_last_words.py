"""What a dying daemon said last, nobody heard; and what it was told last, it did not hear."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import gpulock
import gpulock.aio
from gpulock import aio_connection, patience
from tests.support.daemon import Daemon
from tests.support.frames import Frames
from tests.support.waiting import wait_until

from .relay import Relay

pytestmark = pytest.mark.system


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """With the grace that it has by default: a lock that nobody claims would last for a minute."""
    with Daemon(tmp_path, simulate=1) as daemon:
        yield daemon


@pytest.fixture
def relay(daemon: Daemon, tmp_path: Path) -> Iterator[Relay]:
    with Relay(tmp_path / "relay.sock", daemon.socket) as relay:
        yield relay


def held(daemon: Daemon) -> list[dict[str, Any]]:
    locks: list[dict[str, Any]] = daemon.status()["locks"]
    return locks


def waiting(daemon: Daemon) -> list[str]:
    return [request["task"] for request in daemon.call("queue")["queue"]]


def test_a_key_stays_good_when_the_next_hello_was_not_heard(daemon: Daemon) -> None:
    with Frames(daemon.socket) as frames:
        key = frames.call("hello")["reattach"]
        lock = frames.call("acquire")["lock"]
        daemon.restart()
    with Frames(daemon.socket) as frames:
        assert [kept["lock"] for kept in frames.call("hello", reattach=key)["locks"]] == [lock]
        daemon.restart()
    with Frames(daemon.socket) as frames:
        # As if the answer before had not arrived.
        assert [kept["lock"] for kept in frames.call("hello", reattach=key)["locks"]] == [lock]


def test_a_key_of_the_clients_own_is_good_before_any_answer(daemon: Daemon) -> None:
    with Frames(daemon.socket) as frames:
        frames.send("hello", reattach="of my own")
        frames.send("acquire")
        [lock] = wait_until(lambda: held(daemon), "it is granted")
        daemon.restart()
    with Frames(daemon.socket) as frames:
        assert [kept["lock"] for kept in frames.call("hello", reattach="of my own")["locks"]] == [lock["id"]]


def acquire_blocking(socket: str, **options: Any) -> int:
    """Takes and releases a lock; returns its token."""
    with gpulock.acquire(socket=socket, **options) as lock:
        return lock.token


def acquire_on_a_loop(socket: str, **options: Any) -> int:
    async def job() -> int:
        async with gpulock.aio.acquire(socket=socket, **options) as lock:
            return lock.token

    return asyncio.run(job())


Acquire = Callable[..., int]
both_clients = pytest.mark.parametrize("acquire", [acquire_blocking, acquire_on_a_loop])


class Aside:
    """A call in a thread of its own, with what became of it."""

    def __init__(self, call: Callable[[], int]) -> None:
        self.result: int | gpulock.GpulockError | None = None
        self._call = call
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.result = self._call()
        except gpulock.GpulockError as error:
            self.result = error

    def outcome(self) -> int | gpulock.GpulockError | None:
        self._thread.join(15)
        assert not self._thread.is_alive(), "it hangs"
        return self.result


@both_clients
def test_a_grant_that_was_not_heard_of_is_found_by_its_owner(daemon: Daemon, relay: Relay, acquire: Acquire) -> None:
    """Otherwise the owner would queue behind its own lock."""
    relay.muffled = True
    asking = Aside(lambda: acquire(relay.path, wait_timeout=30))
    [lock] = wait_until(lambda: held(daemon), "it is granted")
    daemon.kill()
    relay.muffled = False
    daemon.start()
    assert asking.outcome() == lock["token"]


@both_clients
def test_a_grant_that_nobody_waits_for_any_more_is_let_go(daemon: Daemon, relay: Relay, acquire: Acquire) -> None:
    relay.muffled = True
    asking = Aside(lambda: acquire(relay.path, wait_timeout=0.5))
    wait_until(lambda: held(daemon), "it is granted")
    daemon.kill()
    relay.muffled = False
    assert isinstance(asking.outcome(), gpulock.DaemonUnavailable)
    daemon.start()
    wait_until(lambda: not held(daemon), "it is let go", within=10)


@both_clients
def test_a_wait_that_no_answer_has_reached_goes_on_at_its_place(daemon: Daemon, relay: Relay, acquire: Acquire) -> None:
    """Its key is the client's own: it needs no word of the daemon that was killed."""
    with Frames(daemon.socket) as holder, Frames(daemon.socket) as later:
        holder.call("hello", reattach="of the holder")
        holder.call("acquire")
        relay.muffled = True
        asking = Aside(lambda: acquire(relay.path, wait_timeout=60, unavailable_timeout=60, task="first"))
        wait_until(lambda: waiting(daemon) == ["first"], "it waits")
        later.call("hello", reattach="of the later")
        later.send("acquire", task="later")
        wait_until(lambda: waiting(daemon) == ["first", "later"], "so does another")
        daemon.kill()
        relay.muffled = False
        daemon.start()
    with Frames(daemon.socket) as holder, Frames(daemon.socket) as later:
        later.call("hello", reattach="of the later")
        asked = later.send("acquire", task="later")
        wait_until(lambda: waiting(daemon) == ["first", "later"], "both are back")
        holder.call("hello", reattach="of the holder")
        holder.call("release")
        first = asking.outcome()
        assert isinstance(first, int)
        assert first < later.receive(asked)["token"]


@both_clients
def test_a_wait_that_was_given_up_before_any_answer_keeps_its_place_from_nobody(
    daemon: Daemon, relay: Relay, acquire: Acquire
) -> None:
    """The next daemon finds it in its journal; its client, which lives, says that it has gone."""
    daemon.settings["daemon.log_level"] = "debug"
    daemon.restart()
    with Frames(daemon.socket) as holder:
        holder.call("hello", reattach="of the holder")
        holder.call("acquire")
        relay.muffled = True
        asking = Aside(lambda: acquire(relay.path, wait_timeout=60, unavailable_timeout=0.2))
        wait_until(lambda: waiting(daemon), "it waits")
        daemon.kill()
        relay.muffled = False
        assert isinstance(asking.outcome(), gpulock.DaemonUnavailable)
    daemon.start()
    with Frames(daemon.socket) as holder, Frames(daemon.socket) as other:
        holder.call("hello", reattach="of the holder")
        holder.call("release")
        other.call("acquire", wait_timeout=60)
    assert "does not want it any more" in daemon.output()


def test_a_release_that_was_not_heard_is_said_again(daemon: Daemon) -> None:
    lock = gpulock.acquire(socket=daemon.socket)
    os.kill(daemon.pid, signal.SIGSTOP)
    lock.release()
    daemon.restart()
    somebody_else = [sys.executable, "-m", "gpulock", "--socket", daemon.socket, "--", "true"]
    subprocess.run(somebody_else, check=True, timeout=30)  # the grace is twice as long
    assert "lock.reattached" in daemon.output()


def test_a_release_that_was_not_heard_is_said_again_by_the_next_use(daemon: Daemon) -> None:
    lock = gpulock.acquire(socket=daemon.socket)
    os.kill(daemon.pid, signal.SIGSTOP)
    lock.release()
    daemon.kill()
    with pytest.raises(gpulock.DaemonUnavailable):
        gpulock.acquire(socket=daemon.socket, unavailable_timeout=0)
    daemon.start()
    wait_until(lambda: not held(daemon), "it is let go", within=10)


def test_a_release_that_was_not_heard_is_said_again_after_the_next_wait_was_given_up(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "SLACK", 0.1)
    lock = gpulock.acquire(socket=daemon.socket)
    os.kill(daemon.pid, signal.SIGSTOP)
    lock.release()
    with pytest.raises(gpulock.LockTimeout):
        gpulock.acquire(socket=daemon.socket, wait_timeout=0)
    daemon.restart()
    wait_until(lambda: not held(daemon), "it is let go", within=10)


def test_a_lock_that_was_let_go_without_a_daemon_outlives_no_event_loop(daemon: Daemon) -> None:
    async def job() -> None:
        async with gpulock.aio.acquire(socket=daemon.socket):
            daemon.kill()

    asyncio.run(job())
    daemon.start()
    assert held(daemon), "it was restored"
    wait_until(lambda: not held(daemon), "its process lets it go, though the loop that held it has ended", within=10)


def test_a_release_that_a_loop_stopped_waiting_for_is_said_again(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aio_connection, "SLACK", 0.1)

    async def job() -> None:
        async with gpulock.aio.acquire(socket=daemon.socket):
            os.kill(daemon.pid, signal.SIGSTOP)

    asyncio.run(job())
    daemon.kill()
    daemon.start()
    wait_until(lambda: not held(daemon), "its process lets it go", within=10)


def test_what_is_let_go_late_is_let_go_until_a_daemon_has_heard(daemon: Daemon, relay: Relay) -> None:
    lock = gpulock.acquire(socket=relay.path)
    daemon.kill()
    lock.release()
    relay.unheard = b"release"
    daemon.start()
    wait_until(lambda: "lock.reattached" in daemon.output(), "the client is back, and says what nobody hears")
    assert held(daemon)
    daemon.kill()
    relay.part_for_good()
    daemon.start()
    wait_until(lambda: not held(daemon), "it is let go", within=10)
