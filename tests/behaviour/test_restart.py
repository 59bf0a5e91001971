"""The daemon is killed and started again: who holds goes on holding, who waits goes on waiting."""

from __future__ import annotations

import shutil
import time
from contextlib import ExitStack

import pytest

import gpulock
from gpulock.patience import UNAVAILABLE_TIMEOUT
from tests.support.daemon import Daemon
from tests.support.frames import Frames
from tests.support.waiting import PATIENCE, wait_until
from tests.support.workers import BlockingWorker, Worker

pytestmark = pytest.mark.system


def connected(daemon: Daemon) -> list[str]:
    return [lock["id"] for lock in daemon.status()["locks"] if lock["connected"]]


def test_a_holder_keeps_its_lock(client: Worker, own_daemon: Daemon) -> None:
    held = client.acquire(task="long")
    for _ in range(2):
        own_daemon.restart()
        wait_until(lambda: connected(own_daemon) == [held.id], "the holder is back")
        assert client.lost(held) is None
    assert client.extend(held, 100) == pytest.approx(100, abs=1)
    client.release(held)
    wait_until(lambda: not own_daemon.status()["locks"], "the lock is released")
    assert client.acquire().token > held.token


def test_a_lock_that_went_over_a_restart_can_be_revoked(client: Worker, own_daemon: Daemon) -> None:
    held = client.acquire()
    own_daemon.restart()
    wait_until(lambda: connected(own_daemon) == [held.id], "the holder is back")
    own_daemon.call("revoke", subject=held.id)
    assert wait_until(lambda: client.lost(held), "the holder hears of it") == "revoked"
    with pytest.raises(gpulock.LockLost):
        client.leave_block(held)


def test_who_waits_goes_on_waiting(client: Worker, own_daemon: Daemon) -> None:
    with Frames(own_daemon.socket) as holder:
        lock = holder.call("acquire")
        key = holder.call("hello")["reattach"]
        request = client.begin(wait_timeout=60)
        wait_until(lambda: own_daemon.call("queue")["queue"], "it waits")
        own_daemon.restart()
        with Frames(own_daemon.socket) as again:
            assert again.call("hello", reattach=key)["locks"][0]["lock"] == lock["lock"]
            wait_until(lambda: own_daemon.call("queue")["queue"], "it waits again")
            [waiting] = own_daemon.call("queue")["queue"]
            assert waiting["time_left"] < 60
            assert not request.done()
            again.call("release")
            assert request.result(PATIENCE).token > lock["token"]


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_those_who_wait_keep_their_order_whoever_comes_back_first(own_daemon: Daemon, end: str) -> None:
    keys = {name: f"key of {name}" for name in ("holder", "first", "second")}
    with ExitStack() as connections:

        def connect(name: str) -> Frames:
            client = connections.enter_context(Frames(own_daemon.socket))
            client.call("hello", reattach=keys[name])
            return client

        def queue() -> list[str]:
            return [waiting["task"] for waiting in own_daemon.call("queue")["queue"]]

        connect("holder").call("acquire")
        connect("first").send("acquire", task="first")
        wait_until(lambda: queue() == ["first"], "the first one waits")
        connect("second").send("acquire", task="second")
        wait_until(lambda: queue() == ["first", "second"], "the second one waits")
        getattr(own_daemon, end)()
        own_daemon.start()

        second = connect("second")
        asked = second.send("acquire", task="second", wait_timeout=60)
        connect("holder").call("release")
        assert queue() == ["second"], "though the GPU is free"

        first = connect("first")
        lock = first.call("acquire", task="first", wait_timeout=60)
        first.call("release")
        assert second.receive(asked)["token"] > lock["token"]


def test_a_lock_released_while_the_daemon_is_away_is_free_soon_after_its_return(
    client: Worker, own_daemon: Daemon
) -> None:
    held = client.acquire()
    own_daemon.kill()
    client.release(held)
    own_daemon.start()
    wait_until(lambda: not own_daemon.status()["locks"], "the daemon is told, long before the grace is over")


def test_a_wait_may_begin_while_the_daemon_is_away(client: Worker, own_daemon: Daemon) -> None:
    own_daemon.kill()
    request = client.begin(wait_timeout=30, unavailable_timeout=30)
    own_daemon.start()
    assert request.result(PATIENCE).token > 0


def test_a_daemon_that_is_not_there_fails_a_call_after_a_moment(client: Worker, own_daemon: Daemon) -> None:
    own_daemon.kill()
    for patience in (0, 0.3):
        began = time.monotonic()
        with pytest.raises(gpulock.DaemonUnavailable, match=own_daemon.socket) as caught:
            client.acquire(unavailable_timeout=patience)
        assert time.monotonic() - began < patience + UNAVAILABLE_TIMEOUT / 2
        assert caught.value.hint


def test_a_lock_is_lost_when_the_daemon_forgot_it(client: Worker, own_daemon: Daemon) -> None:
    held = client.acquire()
    own_daemon.kill()
    shutil.rmtree(own_daemon.state)
    own_daemon.start()
    assert wait_until(lambda: client.lost(held), "the loss is noticed") == "not-reattached"
    with pytest.raises(gpulock.LockLost):
        client.leave_block(held)


def test_a_connection_that_lay_idle_over_a_restart_is_replaced(own_daemon: Daemon) -> None:
    worker = BlockingWorker(own_daemon.socket)
    try:
        for _ in range(3):
            worker.release(worker.acquire(unavailable_timeout=0))
            own_daemon.restart()
    finally:
        worker.close()


def test_frames_can_reattach_with_the_key_and_only_with_it(own_daemon: Daemon) -> None:
    with Frames(own_daemon.socket) as holder:
        hello = holder.call("hello", client="test")
        lock = holder.call("acquire")
        own_daemon.restart()
        with Frames(own_daemon.socket) as stranger:
            assert stranger.call("hello")["locks"] == []
            assert stranger.call("hello", reattach="guessed")["locks"] == []
        with Frames(own_daemon.socket) as back:
            [kept] = back.call("hello", reattach=hello["reattach"])["locks"]
            assert (kept["lock"], kept["token"]) == (lock["lock"], lock["token"])
            assert back.call("release")["lock"] == lock["lock"]
