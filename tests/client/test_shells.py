"""Both clients against a daemon that does what the test says: answers late, wrongly, or goes away."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import gpulock
from gpulock import patience, rpc
from gpulock.errors import Busy, LimitExceeded, NotHeld, to_wire
from tests.support.scripted_peer import Caller, ScriptedPeer, grant
from tests.support.waiting import PATIENCE, wait_until
from tests.support.workers import Held

from .conftest import Client


def hold(client: Client, peer: ScriptedPeer, *, grace: float = 60.0, **wish: Any) -> tuple[Held, Caller]:
    """A lock that the client holds, and the connection on which it does."""
    request = client.begin(**wish)
    caller = peer.accept()
    caller.welcome(grace=grace)
    caller.answer(caller.expect("acquire"), **grant())
    return request.result(PATIENCE), caller


@contextmanager
def meanwhile(answer: Callable[[], object]) -> Iterator[None]:
    """Has the daemon answer while the block asks, and until it has."""
    thread = threading.Thread(target=answer)
    thread.start()
    yield
    thread.join(PATIENCE)
    assert not thread.is_alive(), "it was not asked"


def test_hello_and_acquire_go_out_together(client: Client, peer: ScriptedPeer) -> None:
    request = client.begin(gpus=["0"], task="ocr", wait_timeout="1m", max_hold=90, priority=3, labels={"a": "b"})
    caller = peer.accept()
    assert "gpulock" in caller.expect("hello").params["client"]
    assert caller.expect("acquire").params == {
        "gpus": ["0"],
        "task": "ocr",
        "wait_timeout": pytest.approx(60, abs=10),
        "max_hold": 90.0,
        "priority": 3,
        "labels": {"a": "b"},
        "notify": ["warning", "lost"],
    }
    caller.send(rpc.response(2, None, grant()))  # before that of `hello`
    assert request.result(PATIENCE).id == "L1-1"


def test_places_in_the_queue_are_told(client: Client, peer: ScriptedPeer) -> None:
    places: list[gpulock.Queued] = []
    request = client.begin(on_queued=places.append)
    caller = peer.accept()
    caller.welcome()
    asked = caller.expect("acquire")
    assert asked.params["notify"] == ["queued", "warning", "lost"]
    for ahead in (2, 1, 0):
        caller.notify("queued", position=ahead + 1, ahead=ahead, eta=None, holders=[])
    wait_until(lambda: len(places) == 3, "three places were told")
    caller.answer(asked, **grant())
    request.result(PATIENCE)
    assert [place.ahead for place in places] == [2, 1, 0]


def test_a_daemon_that_says_nothing_is_given_up(
    client: Client, peer: ScriptedPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "SLACK", 0.2)
    request = client.begin(wait_timeout=0.1)
    caller = peer.accept()
    with pytest.raises(gpulock.LockTimeout, match="has not answered"):
        request.result(PATIENCE)
    caller.expect("hello")
    caller.expect("acquire")
    caller.expect_end()


@pytest.mark.parametrize("garbage", [b"\xc1", b"HTTP/1.1 400 Bad Request\r\n\r\n", rpc.response(77, None, {})])
def test_a_daemon_that_talks_nonsense_is_left(client: Client, peer: ScriptedPeer, garbage: bytes) -> None:
    request = client.begin()
    caller = peer.accept()
    caller.send(garbage)
    with pytest.raises(gpulock.ProtocolError):
        request.result(PATIENCE)
    caller.expect("hello")
    caller.expect("acquire")
    caller.expect_end()


def test_why_the_daemon_hangs_up_is_what_is_raised(client: Client, peer: ScriptedPeer) -> None:
    request = client.begin()
    caller = peer.accept()
    caller.notify("error", **to_wire(LimitExceeded("all sessions are taken")))
    caller.close()
    with pytest.raises(LimitExceeded, match="all sessions"):
        request.result(PATIENCE)


def test_a_daemon_that_goes_away_during_the_wait_is_found_again(client: Client, peer: ScriptedPeer) -> None:
    request = client.begin(wait_timeout=30)
    first = peer.accept()
    first.welcome()
    first.expect("acquire")
    first.close()
    second = peer.accept()
    assert second.welcome().params["reattach"] == "the-key"
    asked = second.expect("acquire")
    assert 20 < asked.params["wait_timeout"] <= 30
    second.answer(asked, **grant())
    assert request.result(PATIENCE).id == "L1-1"


def test_a_daemon_that_stays_away_ends_the_wait_with_it(client: Client, peer: ScriptedPeer) -> None:
    request = client.begin(wait_timeout=0.5, unavailable_timeout=0)
    caller = peer.accept()
    caller.welcome()
    caller.expect("acquire")
    began = time.monotonic()
    peer.close()
    with pytest.raises(gpulock.DaemonUnavailable):
        request.result(PATIENCE)
    assert time.monotonic() - began < patience.UNAVAILABLE_TIMEOUT


class TestLost:
    def test_the_flag_the_callback_and_the_error(self, client: Client, peer: ScriptedPeer) -> None:
        told: list[Any] = []
        held, caller = hold(client, peer, on_lost=told.append)
        lock = held.handle
        lock.check()
        assert (lock.lost, lock.lost_reason) == (False, None)
        caller.notify("lost", lock="L1-1", token=1, reason="revoked", by="ann", note="maintenance", deadline=5.0)
        wait_until(lambda: told, "the callback was called")
        assert told == [lock]
        assert (lock.lost, lock.lost_reason) == (True, "revoked")
        with pytest.raises(gpulock.LockLost, match=r"L1-1 was lost by ann \(revoked\): maintenance"):
            lock.check()

    def test_the_callback_is_called_once_for_a_lock(self, client: Client, peer: ScriptedPeer) -> None:
        """The daemon says it again: with a sooner deadline, and on a new connection; and then it stays away."""
        told: list[Any] = []
        held, caller = hold(client, peer, on_lost=told.append)
        said = {"lock": "L1-1", "token": 1, "reason": "revoked", "by": "ann", "note": ""}
        caller.notify("lost", **said, deadline=5.0)
        caller.notify("lost", **said, deadline=1.0)
        caller.close()
        caller = peer.accept()
        caller.welcome(locks=(grant(),), grace=0.4)
        caller.notify("lost", **said, deadline=0.5)
        with meanwhile(lambda: caller.answer(caller.expect("beat"), lock="L1-1")):
            client.beat(held, 0.5, "")  # so it has heard everything that came before
        peer.close()
        wait_until(lambda: held.handle._connection.session.phase == "lost", "the daemon is given up")
        with pytest.raises(gpulock.LockLost, match="revoked"):
            client.leave_block(held)
        assert told == [held.handle]

    def test_an_error_of_the_block_is_not_masked(self, client: Client, peer: ScriptedPeer) -> None:
        held, caller = hold(client, peer)
        caller.notify("lost", lock="L1-1", token=1, reason="revoked", by="", note="", deadline=5.0)
        wait_until(lambda: held.handle.lost, "the lock is lost")
        error = ValueError("the task failed")
        held.handle._conclude(error)
        assert any("L1-1 was lost" in note for note in error.__notes__)

    def test_a_lost_lock_that_raised_already_is_not_told_again(self, client: Client, peer: ScriptedPeer) -> None:
        held, caller = hold(client, peer)
        caller.notify("lost", lock="L1-1", token=1, reason="revoked", by="", note="", deadline=5.0)
        wait_until(lambda: held.handle.lost, "the lock is lost")
        with pytest.raises(gpulock.LockLost) as caught:
            held.handle.check()
        held.handle._conclude(caught.value)
        assert not hasattr(caught.value, "__notes__")

    def test_warnings(self, client: Client, peer: ScriptedPeer) -> None:
        told: list[Any] = []
        _, caller = hold(client, peer, on_warning=lambda lock, warned: told.append((lock.id, warned.level)))
        caller.notify("warning", lock="L1-1", level="soft")
        wait_until(lambda: told == [("L1-1", "soft")], "the callback was called")

    def test_a_soft_timeout_that_is_told_again_raises_no_second_time(self, client: Client, peer: ScriptedPeer) -> None:
        told: list[Any] = []
        held, caller = hold(client, peer, soft_timeout="raise", on_warning=lambda _lock, warned: told.append(warned))
        caller.notify("warning", lock="L1-1", token=1, level="soft", held_for=3600.2, deadline=None)
        wait_until(lambda: len(told) == 1, "it was told")
        with pytest.raises(gpulock.SoftTimeout, match="lock L1-1, held for 3600 s, is past its soft timeout"):
            held.handle.check()
        caller.notify("warning", lock="L1-1", token=1, level="soft", held_for=3700.0, deadline=None)
        wait_until(lambda: len(told) == 2, "it was told again")
        held.handle.check()

    def test_a_notice_that_comes_with_another_answer_is_not_missed(self, client: Client, peer: ScriptedPeer) -> None:
        told: list[Any] = []
        held, caller = hold(client, peer, on_lost=told.append)
        with meanwhile(lambda: answer_beat_after_loss(caller)):
            client.beat(held, 0.5, "")
        assert held.handle.lost
        wait_until(lambda: told == [held.handle], "the callback was called")


def answer_beat_after_loss(caller: Caller) -> None:
    beat = caller.expect("beat")
    caller.send(
        rpc.notification("lost", {"lock": "L1-1", "token": 1, "reason": "revoked", "deadline": 5.0})
        + rpc.response(beat.msgid, None, {"lock": "L1-1"})
    )


def hang_up_on_beat(caller: Caller) -> None:
    caller.expect("beat")
    caller.close()


class TestHoldingOn:
    def test_the_holder_comes_back_with_its_key(self, client: Client, peer: ScriptedPeer) -> None:
        held, caller = hold(client, peer)
        for _ in range(3):
            caller.close()
            caller = peer.accept()
            assert caller.welcome(locks=(grant(),)).params["reattach"] == "the-key"
        assert caller.says_nothing()
        assert not held.handle.lost

    def test_a_daemon_that_hangs_up_at_once_is_not_besieged(self, client: Client, peer: ScriptedPeer) -> None:
        held, caller = hold(client, peer)
        caller.close()
        began, times = time.monotonic(), 0
        while time.monotonic() - began < 1.0:
            peer.accept().close()
            times += 1
        assert times <= 8
        peer.accept().welcome(locks=(grant(),))
        assert not held.handle.lost

    def test_a_daemon_that_stays_away_for_too_long_loses_the_lock(self, client: Client, peer: ScriptedPeer) -> None:
        told: list[Any] = []
        held, _ = hold(client, peer, grace=0.4, on_lost=told.append)
        peer.close()
        wait_until(lambda: told == [held.handle], "the loss was told")
        assert held.handle.lost_reason == "daemon-away"
        with pytest.raises(gpulock.LockLost):
            client.leave_block(held)

    def test_a_daemon_that_accepts_and_says_nothing_loses_the_lock(self, client: Client, peer: ScriptedPeer) -> None:
        held, caller = hold(client, peer, grace=0.4)
        caller.close()
        peer.accept().expect("hello")
        wait_until(lambda: held.handle.lost_reason == "daemon-away", "the loss is noticed")

    def test_calls_fail_while_the_daemon_is_away(self, client: Client, peer: ScriptedPeer) -> None:
        held, _ = hold(client, peer)
        peer.close()
        with pytest.raises(gpulock.DaemonUnavailable):
            client.extend(held, 60)
        with pytest.raises(gpulock.DaemonUnavailable):
            client.beat(held, 0.5, "")
        assert not held.handle.lost

    def test_a_call_fails_when_the_daemon_goes_away_under_it_and_the_lock_goes_on(
        self, client: Client, peer: ScriptedPeer
    ) -> None:
        held, caller = hold(client, peer)
        with meanwhile(lambda: hang_up_on_beat(caller)), pytest.raises(gpulock.DaemonUnavailable, match="went away"):
            client.beat(held, 0.5, "")
        back = peer.accept()
        back.welcome(locks=(grant(),))
        with meanwhile(lambda: back.answer(back.expect("beat"), lock="L1-1")):
            client.beat(held, 0.6, "")

    def test_an_error_of_the_daemon_is_raised_and_the_lock_goes_on(self, client: Client, peer: ScriptedPeer) -> None:
        held, caller = hold(client, peer)
        with meanwhile(lambda: caller.refuse(caller.expect("extend"), Busy("no"))), pytest.raises(Busy):
            client.extend(held, 60)
        assert not held.handle.lost


def interrupted(caller: Caller, *locks: dict[str, Any]) -> None:
    """The next daemon has the connection, and does not know what was said on it."""
    caller.resume()
    assert caller.welcome(locks=locks).params["reattach"] == "the-key"


class TestResuming:
    """On one connection all the while."""

    @pytest.fixture(autouse=True)
    def one_connection(self, peer: ScriptedPeer) -> Iterator[None]:
        yield
        assert len(peer.callers) == 1

    def test_a_waiter_waits_on(self, client: Client, peer: ScriptedPeer) -> None:
        request = client.begin(wait_timeout=30)
        caller = peer.accept()
        caller.welcome()
        caller.expect("acquire")
        interrupted(caller)
        asked = caller.expect("acquire")
        assert 20 < asked.params["wait_timeout"] <= 30
        caller.answer(asked, **grant())
        assert request.result(PATIENCE).id == "L1-1"

    def test_a_holder_holds_on_and_what_it_asks_is_answered(self, client: Client, peer: ScriptedPeer) -> None:
        held, caller = hold(client, peer)
        interrupted(caller, grant())

        def interrupt_beat() -> None:
            caller.expect("beat")
            interrupted(caller, grant())
            caller.answer(caller.expect("beat"), lock="L1-1")

        with meanwhile(interrupt_beat):
            client.beat(held, 0.5, "")
        assert not held.handle.lost

    def test_a_lock_that_is_not_known_any_more_is_lost(self, client: Client, peer: ScriptedPeer) -> None:
        held, caller = hold(client, peer)
        interrupted(caller)
        wait_until(lambda: held.handle.lost_reason == "not-reattached", "it is told")

    def test_a_release_is_said_again_before_the_next_lock(self, client: Client, peer: ScriptedPeer) -> None:
        held, caller = hold(client, peer)

        def interrupt_release() -> None:
            caller.expect("release")
            interrupted(caller, grant())
            caller.answer(caller.expect("release"), lock="L1-1")
            caller.answer(caller.expect("acquire"), **grant("L1-2"))

        with meanwhile(interrupt_release):
            client.release(held)
            assert client.acquire().id == "L1-2"

    def test_the_next_lock_finds_out(self, client: Client, peer: ScriptedPeer) -> None:
        """A connection that lies idle is not looked after."""
        held, caller = hold(client, peer)
        with meanwhile(lambda: caller.answer(caller.expect("release"), lock="L1-1")):
            client.release(held)

        def serve() -> None:
            interrupted(caller)
            caller.answer(caller.expect("acquire"), **grant("L1-2"))

        with meanwhile(serve):
            assert client.acquire().id == "L1-2"


class TestReleasing:
    def test_it_is_a_request(self, client: Client, peer: ScriptedPeer) -> None:
        held, caller = hold(client, peer)
        with meanwhile(lambda: caller.answer(caller.expect("release"), lock="L1-1")):
            client.release(held)
        client.release(held)

    def test_one_that_breaks_off_is_made_up_for(self, client: Client, peer: ScriptedPeer) -> None:
        held, caller = hold(client, peer)
        caller.close()
        peer.accept()  # and says nothing: the client is not yet back when it releases
        client.release(held)
        peer.callers[-1].close()
        back = peer.accept()
        back.welcome(locks=(grant(),))
        assert back.expect("release").params == {"lock": "L1-1"}

    def test_a_released_lock_cannot_be_used(self, client: Client, peer: ScriptedPeer) -> None:
        held, caller = hold(client, peer)
        with meanwhile(lambda: caller.answer(caller.expect("release"), lock="L1-1")):
            client.release(held)
        with pytest.raises(NotHeld):
            client.extend(held, 5)


def test_a_lock_that_nobody_holds_on_to_is_released(client: Client, peer: ScriptedPeer) -> None:
    held, caller = hold(client, peer)
    client._held.clear()
    with pytest.warns(ResourceWarning, match="L1-1"):
        held.handle = None
    wait_until(lambda: not caller.says_nothing(0.01), "the release came")
    caller.answer(caller.expect("release"), lock="L1-1")


@pytest.mark.parametrize("path", ["/dev/null", "/proc/self/status/x", "/tmp/" + "x" * 200])
def test_a_path_that_cannot_be_a_socket_fails_at_once(
    new_client: Callable[[], Client], path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = new_client()
    client._socket = path
    began = time.monotonic()
    with pytest.raises(gpulock.DaemonUnavailable):
        client.acquire(unavailable_timeout=0.1)
    assert time.monotonic() - began < patience.UNAVAILABLE_TIMEOUT
