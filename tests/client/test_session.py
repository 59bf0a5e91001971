"""The session's states, step by step: what is asked, what is sent, what came, what it means."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

from gpulock import rpc, wire
from gpulock.clock import Retry
from gpulock.documents import Grant, HelloAnswer, RetryView
from gpulock.errors import Busy, DaemonUnavailable, LockLost, NotHeld, ProtocolError, from_wire, to_wire
from gpulock.notices import Happened, Hastened, Loss, Queued, ReleaseFailed, Warned
from gpulock.session import MAX_WAIT, REATTACH_GRACE, Session
from tests.support.scripted_peer import grant
from tests.support.shape import misfits


class Told:
    """A session, and the daemon's end of its wire."""

    def __init__(self, key: str | None = None) -> None:
        self.session = Session("test 1", key=key)
        self._decoder = rpc.Decoder(wire.MAX_REQUEST_BYTES)
        self.numbers: dict[str, int] = {}

    # Asked by calls, whose answers a type checker does not take for constant.

    def phase(self) -> str:
        return self.session.phase

    def introduced(self) -> bool:
        return self.session.introduced

    def interrupted(self) -> bool:
        return self.session.interrupted

    def refusal(self) -> Exception | None:
        return self.session.refusal

    def sends(self) -> list[tuple[str, dict[str, Any]]]:
        """What the session has to send, and remembers by which number."""
        requests = list(self._decoder.feed(self.session.take_outgoing()))
        self.numbers |= {request.method: request.msgid for request in requests if isinstance(request, rpc.Request)}
        return [(request.method, dict(request.params or {})) for request in requests]  # type: ignore[union-attr]

    def hears(self, method: str, **result: Any) -> list[object]:
        """The answer to the last request of that method."""
        return list(self.session.receive(rpc.response(self.numbers[method], None, result)))

    def hears_error(self, method: str, error: Exception) -> list[object]:
        return list(self.session.receive(rpc.response(self.numbers[method], to_wire(error), None)))  # type: ignore[arg-type]

    def notified(self, method: str, **params: Any) -> list[object]:
        return list(self.session.receive(rpc.notification(method, params)))

    def reconnected(self, wait_left: float | None = None) -> list[tuple[str, dict[str, Any]]]:
        self.session.disconnected()
        self._decoder = rpc.Decoder(wire.MAX_REQUEST_BYTES)
        self.session.connected(wait_left)
        return self.sends()


RETRY: RetryView = {"poll_interval": 1, "max_poll_interval": 4, "exponential_backoff": False}


def hello(*locks: dict[str, Any], key: str = "key-1", quiet: tuple[str, ...] = ()) -> HelloAnswer:
    return {
        "version": 1,
        "daemon": "gpulockd 1.0",
        "host": "here",
        "session": 1,
        "reattach": key,
        "reattach_grace": 20,
        "retry": RETRY,
        "limits": {"max_wait_time": 900},
        "quiet": list(quiet),
        "restart_safe": False,
        "locks": [cast(Grant, lock) for lock in locks],
    }


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def holding(told: Told) -> Told:
    told.session.connected()
    told.session.acquire(wire.Acquire(task="ocr"))
    told.sends()
    told.hears("hello", **hello())
    told.hears("acquire", **grant())
    assert told.phase() == "held"
    return told


def test_the_first_write_has_hello_and_acquire_in_one(told: Told) -> None:
    told.session.acquire(wire.Acquire(gpus=2, task="ocr"))
    told.session.connected(wait_left=30.0)
    assert told.sends() == [
        ("hello", {"client": "test 1", "resumes": True}),
        ("acquire", {"gpus": 2, "task": "ocr", "wait_timeout": 30.0}),
    ]
    assert told.phase() == "waiting"


@pytest.mark.parametrize(
    ("field", "read", "told", "untold"),
    [
        ("reattach", lambda session: session.key, "key-1", None),
        ("reattach_grace", lambda session: session.grace, 20, REATTACH_GRACE),
        ("retry", lambda session: session.retry, Retry(1.0, 4.0, False), Retry()),
        ("limits", lambda session: session.max_wait, 900, MAX_WAIT),
        ("locks", lambda session: session.grant and session.grant.lock, "L1-7", None),
    ],
)
def test_the_answer_to_hello_is_read_by_its_form(
    field: str, read: Callable[[Session], object], told: object, untold: object
) -> None:
    """And a daemon that leaves a field out is one of an earlier version."""
    answer = hello(grant("L1-7"))
    assert misfits(answer, HelloAnswer) == []
    for fields, expected in ((answer, told), ({name: answer[name] for name in answer if name != field}, untold)):  # type: ignore[literal-required]
        waiting = Told()
        waiting.session.connected()
        waiting.sends()
        waiting.session.acquire(wire.Acquire())
        waiting.session.disconnected()
        waiting.session.connected()
        waiting.sends()
        waiting.hears("hello", **fields)
        assert read(waiting.session) == expected


def test_granted(holding: Told) -> None:
    granted = holding.session.grant
    assert granted is not None
    assert (granted.lock, granted.token, granted.nested) == ("L1-1", (1 << 32) + 1, False)
    assert [(gpu.index, gpu.uuid) for gpu in granted.gpus] == [(0, "GPU-00000000")]
    assert holding.session.grace == 20
    assert holding.session.max_wait == 900
    assert holding.session.retry == (1.0, 4.0, False)


def test_refused_and_asked_again(told: Told) -> None:
    told.session.connected()
    told.session.acquire(wire.Acquire(wait_timeout=0))
    told.sends()
    told.hears_error("acquire", Busy("taken"))
    assert told.phase() == "idle"
    assert isinstance(told.refusal(), Busy)
    told.session.acquire(wire.Acquire())
    assert told.refusal() is None
    assert told.sends() == [("acquire", {})]


def test_a_nested_lock_leaves_the_session_idle(told: Told) -> None:
    told.session.connected()
    told.session.acquire(wire.Acquire(within="L9"))
    told.sends()
    told.hears("acquire", **grant("L9", nested=True))
    assert told.phase() == "idle"
    assert told.session.grant is not None
    assert told.session.grant.nested


def test_a_release_is_sent_once_and_not_waited_for(holding: Told) -> None:
    holding.session.release()
    assert holding.phase() == "idle"
    assert holding.sends() == [("release", {"lock": "L1-1"})]
    assert holding.session.releasing
    holding.session.release()
    assert holding.sends() == []
    assert holding.hears("release", lock="L1-1") == []
    assert not holding.session.releasing


def test_a_release_that_failed_is_a_notice(holding: Told) -> None:
    holding.session.release()
    holding.sends()
    [failed] = holding.hears_error("release", NotHeld("L1-1 has ended"))
    assert isinstance(failed, ReleaseFailed)
    assert isinstance(failed.error, NotHeld)


class TestQuietRelease:
    """One that the daemon is not to answer, where its `hello` has said that it takes such."""

    @pytest.fixture
    def holding(self, told: Told) -> Told:
        told.session.connected()
        told.session.acquire(wire.Acquire())
        told.sends()
        told.hears("hello", **hello(quiet=("release",)))
        told.hears("acquire", **grant())
        return told

    def test_it_is_a_notification_and_no_answer_is_due(self, holding: Told) -> None:
        holding.session.release(answered=False)
        assert holding.session.take_outgoing() == rpc.notification("release", {"lock": "L1-1"})
        assert (holding.phase(), holding.session.releasing) == ("idle", False)

    def test_a_daemon_that_answers_every_release_is_sent_a_request(self, holding: Told) -> None:
        holding.reconnected()
        holding.hears("hello", **hello(grant()))
        holding.session.release(answered=False)
        assert holding.sends() == [("release", {"lock": "L1-1"})]
        assert holding.session.releasing

    def test_a_caller_that_waits_for_the_answer_has_one(self, holding: Told) -> None:
        holding.session.release()
        holding.sends()
        assert holding.session.releasing
        assert holding.hears("release", lock="L1-1") == []

    def test_its_failure_is_a_notice(self, holding: Told) -> None:
        holding.session.release(answered=False)
        [failed] = holding.notified("release-failed", code="not-held", message="L1-1 has ended", hint=None, data={})
        assert isinstance(failed, ReleaseFailed)
        assert isinstance(failed.error, NotHeld)
        holding.session.disconnected()
        assert holding.phase() == "idle"

    def test_a_daemon_that_may_not_have_read_it_is_told_again_and_has_to_answer(self, holding: Told) -> None:
        holding.session.release(answered=False)
        holding.sends()
        holding.session.disconnected()
        assert holding.phase() == "leaving"
        holding.reconnected()
        holding.hears("hello", **hello(grant(), quiet=("release",)))
        assert holding.sends() == [("release", {"lock": "L1-1"})]
        assert (holding.phase(), holding.session.releasing) == ("idle", True)

    def test_it_is_said_again_of_a_lock_that_has_ended_meanwhile(self, holding: Told) -> None:
        """Its GPU may wait for this word. Whether it does, or the first daemon has heard it, cannot be known."""
        holding.session.release(answered=False)
        holding.reconnected()
        holding.hears("hello", **hello(quiet=("release",)))
        assert holding.sends() == [("release", {"lock": "L1-1"})]
        assert holding.session.releasing
        assert holding.hears_error("release", NotHeld("it has ended")) == []
        holding.session.disconnected()
        assert holding.phase() == "idle"

    def test_it_is_said_again_until_a_daemon_answers(self, holding: Told) -> None:
        holding.session.release(answered=False)
        for _ in range(3):
            holding.reconnected()
            holding.hears("hello", **hello())
            assert holding.sends() == [("release", {"lock": "L1-1"})]
        assert holding.hears("release", lock="L1-1") == []

    def test_another_error_in_what_is_said_again_is_a_notice(self, holding: Told) -> None:
        holding.session.release(answered=False)
        holding.reconnected()
        holding.hears("hello", **hello())
        holding.sends()
        [failed] = holding.hears_error("release", Busy("of something"))
        assert isinstance(failed, ReleaseFailed)

    def test_who_asks_for_another_lock_says_it_first(self, holding: Told) -> None:
        holding.session.release(answered=False)
        holding.session.acquire(wire.Acquire())
        assert [method for method, _ in holding.reconnected()] == ["hello"]
        holding.hears("hello", **hello())
        assert [method for method, _ in holding.sends()] == ["release", "acquire"]

    def test_the_next_grant_shows_that_it_was_read(self, holding: Told) -> None:
        holding.session.release(answered=False)
        holding.session.acquire(wire.Acquire())
        holding.sends()
        holding.hears("acquire", **grant("L1-2"))
        holding.session.release()
        holding.sends()
        holding.hears("release", lock="L1-2")
        holding.session.disconnected()
        assert holding.phase() == "idle"

    def test_a_refusal_does_not_show_it(self, holding: Told) -> None:
        holding.session.release(answered=False)
        holding.session.acquire(wire.Acquire(wait_timeout=0))
        holding.sends()
        holding.hears_error("acquire", Busy("taken"))
        holding.session.disconnected()
        assert holding.phase() == "leaving"


def test_places_in_the_queue(told: Told) -> None:
    told.session.connected()
    told.session.acquire(wire.Acquire(notify=("queued",)))
    told.sends()
    [queued] = told.notified("queued", position=3, ahead=2, eta=None, holders=[{"gpu": 0, "user": "ann"}])
    assert queued == Queued(3, 2, None, ({"gpu": 0, "user": "ann"},))
    told.hears("acquire", **grant())
    assert told.notified("queued", position=1, ahead=0) == []  # overtaken by the grant


class TestLost:
    def test_told_by_the_daemon(self, holding: Told) -> None:
        [loss] = holding.notified("lost", lock="L1-1", token=1, reason="revoked", by="ann", note="now", deadline=9.5)
        assert loss == holding.session.loss == Loss("L1-1", "revoked", "ann", "now", 9.5)
        assert holding.phase() == "held"  # until it lets go, or the deadline comes
        error = loss.error()
        assert isinstance(error, LockLost)
        assert "L1-1" in str(error)
        assert "ann" in str(error)
        assert "now" in str(error)
        holding.session.release()
        assert holding.sends() == [("release", {"lock": "L1-1"})]

    def test_a_word_about_another_lock_is_no_loss(self, holding: Told) -> None:
        assert holding.notified("lost", lock="L1-0", token=1, reason="revoked") == []
        assert holding.session.loss is None

    def test_a_word_that_comes_after_the_release_is_no_loss(self, holding: Told) -> None:
        holding.session.release()
        assert holding.notified("lost", lock="L1-1", token=1, reason="revoked") == []

    def test_the_next_lock_is_not_lost(self, holding: Told) -> None:
        holding.notified("lost", lock="L1-1", token=1, reason="revoked")
        holding.session.release()
        holding.session.acquire(wire.Acquire())
        assert holding.session.loss is None


def test_warnings_and_events_are_passed_on(holding: Told) -> None:
    assert holding.notified("warning", lock="L1-1", level="soft") == [Warned("soft", {"lock": "L1-1", "level": "soft"})]
    event = {"kind": "lock.granted", "message": "", "severity": "info", "at": 0.0, "data": {}}
    assert holding.notified("event", **event) == [Happened(event)]  # type: ignore[arg-type]
    assert holding.notified("something-of-a-later-version", x=1) == []


class TestReconnecting:
    def test_a_holder_shows_its_key_and_goes_on(self, holding: Told) -> None:
        assert holding.reconnected() == [("hello", {"client": "test 1", "reattach": "key-1", "resumes": True})]
        assert not holding.introduced()
        assert holding.hears("hello", **hello(grant(), key="key-2")) == []
        assert holding.phase() == "held"
        assert holding.introduced()
        assert holding.reconnected() == [("hello", {"client": "test 1", "reattach": "key-2", "resumes": True})]

    def test_a_lock_that_the_daemon_does_not_know_is_lost(self, holding: Told) -> None:
        holding.reconnected()
        [loss] = holding.hears("hello", **hello())
        assert isinstance(loss, Loss)
        assert loss.reason == "not-reattached"
        assert holding.phase() == "lost"
        holding.session.release()
        assert holding.phase() == "idle"
        assert holding.sends() == []

    def test_a_hello_that_is_refused_loses_the_lock_for_its_reason(self, holding: Told) -> None:
        holding.reconnected()
        [loss] = holding.hears_error("hello", Busy("too many sessions"))
        assert isinstance(loss, Loss)
        assert loss.note == "too many sessions"

    def test_a_lock_is_lost_once(self, holding: Told) -> None:
        holding.notified("lost", lock="L1-1", token=1, reason="revoked")
        holding.reconnected()
        assert holding.hears("hello", **hello()) == []
        assert holding.phase() == "lost"
        assert holding.session.loss is not None
        assert holding.session.loss.reason == "revoked"

    def test_a_loss_that_is_said_again_is_a_sooner_deadline(self, holding: Told) -> None:
        holding.notified("lost", lock="L1-1", token=1, reason="revoked", deadline=60.0)
        again = {"lock": "L1-1", "token": 1, "reason": "revoked", "deadline": 5.0}
        assert holding.notified("lost", **again) == [Hastened(5.0)]
        holding.reconnected()
        assert holding.hears("hello", **hello(grant())) == []
        assert holding.notified("lost", **again) == [Hastened(5.0)]
        assert holding.session.loss is not None
        assert holding.session.loss.deadline == 60.0

    def test_a_daemon_that_stays_away_loses_the_lock(self, holding: Told) -> None:
        holding.session.disconnected()
        loss = holding.session.give_up()
        assert loss is not None
        assert loss.reason == "daemon-away"
        assert holding.phase() == "lost"

    def test_a_waiter_asks_again_once_the_daemon_has_said_that_it_has_no_lock(self, told: Told) -> None:
        told.session.acquire(wire.Acquire(task="x"))
        told.session.connected(60.0)
        told.sends()
        told.hears("hello", **hello())
        [(greeting, _)] = told.reconnected(wait_left=12.5)
        assert greeting == "hello"
        told.hears("hello", **hello())
        assert told.sends() == [("acquire", {"task": "x", "wait_timeout": 12.5})]

    def test_a_connection_that_broke_before_anything_was_asked_leaves_nothing_in_doubt(self, told: Told) -> None:
        told.session.connected()
        told.sends()
        told.hears("hello", **hello())
        told.session.disconnected()
        told.session.acquire(wire.Acquire(task="x"))
        told.session.connected(60.0)
        assert [method for method, _ in told.sends()] == ["hello", "acquire"]

    def test_a_key_of_its_own_is_good_from_the_first_hello_on(self) -> None:
        told = Told(key="mine")
        told.session.connected()
        assert told.sends() == [("hello", {"client": "test 1", "reattach": "mine", "resumes": True})]

    def test_a_lock_granted_with_the_daemons_last_breath_is_not_asked_for_twice(self, told: Told) -> None:
        told.session.acquire(wire.Acquire())
        told.session.connected()
        told.sends()
        told.hears("hello", **hello())
        told.reconnected()
        told.hears("hello", **hello(grant("L1-7")))
        assert told.sends() == []
        assert told.phase() == "held"
        assert told.session.grant is not None
        assert told.session.grant.lock == "L1-7"

    def test_a_release_that_was_not_answered_is_repeated(self, holding: Told) -> None:
        holding.session.release()
        holding.sends()
        holding.session.acquire(wire.Acquire(task="next"))
        holding.sends()
        holding.reconnected()
        holding.hears("hello", **hello(grant()))
        assert holding.sends() == [("release", {"lock": "L1-1"}), ("acquire", {"task": "next"})]
        assert holding.phase() == "waiting"

    def test_an_idle_session_with_a_release_in_doubt_wants_to_make_sure(self, holding: Told) -> None:
        holding.session.release()
        holding.sends()
        holding.session.disconnected()
        assert holding.phase() == "leaving"
        holding.reconnected()
        holding.hears("hello", **hello(grant()))
        assert holding.sends() == [("release", {"lock": "L1-1"})]
        assert holding.phase() == "idle"

    def test_a_release_while_the_daemon_is_away_is_made_up_for(self, holding: Told) -> None:
        holding.session.disconnected()
        holding.session.release()
        assert holding.phase() == "leaving"
        holding.session.connected()
        holding.sends()
        holding.hears("hello", **hello(grant()))
        assert holding.sends() == [("release", {"lock": "L1-1"})]
        assert holding.phase() == "idle"

    def test_a_release_while_the_daemon_is_away_is_made_up_for_though_the_lock_has_ended(self, holding: Told) -> None:
        holding.session.disconnected()
        holding.session.release()
        holding.session.connected()
        holding.sends()
        holding.hears("hello", **hello())
        assert holding.sends() == [("release", {"lock": "L1-1"})]
        assert holding.hears_error("release", NotHeld("it has ended")) == []

    def test_a_release_before_the_daemon_has_welcomed_the_holder_back(self, holding: Told) -> None:
        holding.reconnected()
        holding.session.release()
        assert holding.sends() == []
        holding.hears("hello", **hello(grant()))
        assert holding.sends() == [("release", {"lock": "L1-1"})]

    def test_a_wait_given_up_while_the_daemon_is_away_may_leave_a_lock_behind(self, told: Told) -> None:
        told.session.acquire(wire.Acquire())
        told.session.connected()
        told.sends()
        told.session.disconnected()
        told.session.abandon()
        assert told.phase() == "leaving"
        told.session.connected()
        told.sends()
        told.hears("hello", **hello(grant("L1-7")))
        assert told.sends() == [("release", {"lock": "L1-7"})]
        assert told.phase() == "idle"

    def test_a_wait_given_up_while_it_is_connected_leaves_nothing(self, told: Told) -> None:
        told.session.acquire(wire.Acquire())
        told.session.connected()
        told.session.abandon()
        assert told.phase() == "idle"

    def test_letting_go_of_a_daemon_that_stays_away_is_no_loss(self, holding: Told) -> None:
        holding.session.disconnected()
        holding.session.release()
        assert holding.session.give_up() is None
        assert holding.phase() == "idle"


class TestResuming:
    """The next daemon says that the one before was killed in the midst of something, on the same connection."""

    @staticmethod
    def resumed(told: Told, wait_left: float | None = None) -> list[tuple[str, dict[str, Any]]]:
        """What the session says to it, the marker and `hello` apart."""
        told.sends()  # and the daemon before has read it
        assert told.notified("resume", marker="between the two") == []
        assert told.interrupted()
        told.session.resume(wait_left)
        assert not told.interrupted()
        marker, greeting, *rest = told.sends()
        assert marker == ("resumed", {"marker": "between the two"})
        assert greeting[0] == "hello"
        assert greeting[1]["reattach"] == "key-1"
        return rest

    def test_the_marker_is_the_last_that_the_daemon_passes_over(self, holding: Told) -> None:
        holding.notified("resume", marker="between the two")
        holding.session.resume()
        _, of_the_next = holding.session.take_outgoing().split(b"between the two")
        [greeting] = rpc.Decoder(wire.MAX_REQUEST_BYTES).feed(of_the_next)
        assert isinstance(greeting, rpc.Request)
        assert greeting.method == "hello"

    def test_a_holder_goes_on(self, holding: Told) -> None:
        assert self.resumed(holding) == []
        assert holding.session.resuming
        assert holding.hears("hello", **hello(grant())) == []
        assert holding.phase() == "held"
        assert not holding.session.resuming

    def test_a_lock_that_the_daemon_does_not_know_is_lost(self, holding: Told) -> None:
        self.resumed(holding)
        [loss] = holding.hears("hello", **hello())
        assert isinstance(loss, Loss)
        assert holding.phase() == "lost"

    @pytest.mark.parametrize("granted", [False, True])
    def test_a_waiter_asks_again_unless_it_has_the_lock(self, told: Told, granted: bool) -> None:
        told.session.acquire(wire.Acquire(task="x"))
        told.session.connected(60.0)
        told.sends()
        told.hears("hello", **hello())
        assert self.resumed(told, wait_left=12.5) == []
        told.hears("hello", **hello(*[grant()] * granted))
        assert told.sends() == ([] if granted else [("acquire", {"task": "x", "wait_timeout": 12.5})])
        assert told.phase() == ("held" if granted else "waiting")

    @pytest.mark.parametrize("answered", [False, True])
    def test_a_release_is_said_again(self, holding: Told, answered: bool) -> None:
        holding.session._quiet = True
        holding.session.release(answered=answered)
        assert self.resumed(holding) == []
        holding.hears("hello", **hello(grant()))
        assert holding.sends() == [("release", {"lock": "L1-1"})]
        assert holding.hears_error("release", NotHeld("it was heard the first time")) == []
        assert holding.phase() == "idle"

    def test_the_next_lock_is_asked_for_after_the_release_of_the_last(self, holding: Told) -> None:
        holding.session.release()
        self.resumed(holding)
        assert holding.phase() == "leaving"
        assert holding.session.ready
        holding.session.acquire(wire.Acquire(task="next"))
        assert holding.sends() == []
        holding.hears("hello", **hello(grant()))
        assert holding.sends() == [("release", {"lock": "L1-1"}), ("acquire", {"task": "next"})]

    def test_a_lock_is_let_go_before_the_daemon_has_welcomed_its_holder(self, holding: Told) -> None:
        self.resumed(holding)
        holding.session.release()
        assert holding.session.ready
        holding.session.acquire(wire.Acquire(task="next"))
        holding.hears("hello", **hello(grant()))
        assert holding.sends() == [("release", {"lock": "L1-1"}), ("acquire", {"task": "next"})]

    def test_a_session_on_a_new_connection_is_not_ready_before_it_is_welcomed(self, holding: Told) -> None:
        """Its daemon may accept and say nothing: who wants a lock now goes another way."""
        self.resumed(holding)
        holding.session.release()
        holding.reconnected()
        assert not holding.session.ready

    def test_what_may_be_asked_twice_is_and_anything_else_fails(self, holding: Told) -> None:
        beat = holding.session.call("beat", {"progress": 0.5})
        reload = holding.session.call("reload", {})
        assert self.resumed(holding) == [("beat", {"progress": 0.5})]
        failed = holding.session.answer(reload)
        assert failed is not None
        assert isinstance(from_wire(failed.error), DaemonUnavailable)
        holding.hears("hello", **hello(grant()))
        holding.hears("beat", lock="L1-1")
        answered = holding.session.answer(beat)
        assert answered is not None
        assert answered.result == {"lock": "L1-1"}

    def test_a_watcher_goes_on_watching(self, told: Told) -> None:
        told.session.connected()
        told.sends()
        told.hears("hello", **hello())
        watch = told.session.call("watch", {})
        told.sends()
        told.hears("watch")
        assert told.session.answer(watch) is not None
        assert self.resumed(told) == [("watch", {})]
        told.hears("hello", **hello())
        assert told.hears("watch") == []

    def test_who_was_refused_or_came_by_another_connection_watches_nothing(self, told: Told) -> None:
        told.session.connected()
        told.sends()
        told.hears("hello", **hello())
        told.session.call("watch", {})
        told.sends()
        told.hears_error("watch", Busy("too many watch"))
        assert self.resumed(told) == []
        told.hears("hello", **hello())
        told.session.call("watch", {})
        told.sends()
        told.hears("watch")
        told.reconnected()
        told.hears("hello", **hello())
        assert self.resumed(told) == []

    def test_a_daemon_that_is_killed_again_asks_again(self, holding: Told) -> None:
        self.resumed(holding)
        assert self.resumed(holding) == []
        holding.hears("hello", **hello(grant()))
        assert holding.phase() == "held"


class TestCalls:
    def test_an_answer_is_given_once(self, holding: Told) -> None:
        number = holding.session.call("extend", {"max_hold": 5})
        assert holding.sends() == [("extend", {"max_hold": 5})]
        assert holding.session.answer(number) is None
        holding.hears("extend", max_hold=5.0)
        response = holding.session.answer(number)
        assert response is not None
        assert response.result == {"max_hold": 5.0}
        assert holding.session.answer(number) is None

    def test_a_broken_connection_answers_every_call(self, holding: Told) -> None:
        number = holding.session.call("extend", {"max_hold": 5})
        holding.session.disconnected()
        response = holding.session.answer(number)
        assert response is not None
        assert isinstance(from_wire(response.error), DaemonUnavailable)

    def test_an_answer_that_nobody_waits_for_any_more_is_dropped(self, holding: Told) -> None:
        number = holding.session.call("extend", {"max_hold": 5})
        holding.sends()
        holding.session.forget(number)
        assert holding.hears("extend", max_hold=5.0) == []
        assert holding.session.answer(number) is None


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(rpc.response(999, None, {}), id="an answer to nothing"),
        pytest.param(rpc.request(1, "status", {}), id="a request"),
        pytest.param(b"\xc1", id="garbage"),
        pytest.param(b"HTTP/1.1 400 Bad Request\r\n", id="another protocol"),
    ],
)
def test_a_peer_that_is_no_gpulockd(holding: Told, data: bytes) -> None:
    with pytest.raises(ProtocolError):
        holding.session.receive(data)


@pytest.mark.parametrize("result", [None, {}, {"lock": "L1"}, [], "L1", {**grant(), "gpus": 5}])
def test_a_grant_of_unknown_form(told: Told, result: object) -> None:
    told.session.connected()
    told.session.acquire(wire.Acquire())
    told.sends()
    with pytest.raises(ProtocolError, match="unknown form"):
        told.session.receive(rpc.response(told.numbers["acquire"], None, result))


def test_what_the_daemon_says_before_it_hangs_up_is_raised(told: Told) -> None:
    told.session.connected()
    with pytest.raises(Busy, match="too many"):
        told.notified("error", **to_wire(Busy("too many sessions")))
