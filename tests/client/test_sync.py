"""What only the blocking client does: one thread watches, connections lie idle, signals interrupt."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import gpulock
from gpulock import idle, watcher
from gpulock.connection import Connection, new
from gpulock.errors import NotHeld, NotPermitted, to_wire
from gpulock.notices import ReleaseFailed
from gpulock.patience import UNAVAILABLE_TIMEOUT
from gpulock.sync import Client
from tests.support import processes
from tests.support.daemon import Daemon
from tests.support.scripted_peer import Caller, ScriptedPeer, grant
from tests.support.waiting import PATIENCE, wait_until


@pytest.fixture
def background() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as threads:
        yield threads


def serve(peer: ScriptedPeer, *locks: dict[str, Any]) -> Caller:
    """Grants one lock after the other on one connection, each when the one before is released."""
    caller = peer.accept()
    caller.welcome()
    for lock in locks:
        caller.answer(caller.expect("acquire"), **lock)
        caller.answer(caller.expect("release"), lock=lock["lock"])
    return caller


def given_up(connection: Connection) -> bool:
    """Whether it looks no longer for a daemon to say its release to. A session that has just let go is idle as well."""
    with connection.mutex:
        return connection.session.doubtful and connection.session.phase == "idle"


def watchers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "gpulock-watcher"]


class TestIdleConnections:
    def test_the_next_lock_comes_over_the_same_connection(
        self, peer: ScriptedPeer, background: ThreadPoolExecutor
    ) -> None:
        serving = background.submit(serve, peer, grant("L1-1"), grant("L1-2"), grant("L1-3"))
        ids = []
        for _ in range(3):
            with gpulock.acquire(socket=peer.path) as lock:
                ids.append(lock.id)
        assert ids == ["L1-1", "L1-2", "L1-3"]
        serving.result(PATIENCE)
        assert peer.nobody_calls()

    def test_two_locks_at_a_time_need_two(self, peer: ScriptedPeer, background: ThreadPoolExecutor) -> None:
        serving = [background.submit(serve, peer, grant(f"L1-{number}")) for number in (1, 2)]
        first = gpulock.acquire(socket=peer.path, nested=False)
        second = gpulock.acquire(socket=peer.path, nested=False)
        first.release()
        second.release()
        for each in serving:
            each.result(PATIENCE)

    def test_a_refusal_leaves_it_usable(self, peer: ScriptedPeer, background: ThreadPoolExecutor) -> None:
        def refuse_then_grant() -> None:
            caller = peer.accept()
            caller.welcome()
            caller.refuse(caller.expect("acquire"), gpulock.Busy("taken"))
            caller.answer(caller.expect("acquire"), **grant())
            caller.answer(caller.expect("release"))

        serving = background.submit(refuse_then_grant)
        with pytest.raises(gpulock.Busy):
            gpulock.acquire(socket=peer.path, wait_timeout=0)
        gpulock.acquire(socket=peer.path).release()
        serving.result(PATIENCE)

    def test_one_that_died_meanwhile_is_replaced_at_once(
        self, peer: ScriptedPeer, background: ThreadPoolExecutor
    ) -> None:
        serving = background.submit(serve, peer, grant())
        gpulock.acquire(socket=peer.path).release()
        serving.result(PATIENCE).close()
        serving = background.submit(serve, peer, grant("L1-2"))
        began = time.monotonic()
        with gpulock.acquire(socket=peer.path, unavailable_timeout=0) as lock:
            assert lock.id == "L1-2"
        assert time.monotonic() - began < UNAVAILABLE_TIMEOUT
        serving.result(PATIENCE)

    def test_only_so_many_are_kept(self, peer: ScriptedPeer, background: ThreadPoolExecutor) -> None:
        locks = []
        for number in range(idle.MOST + 2):
            serving = background.submit(serve_one_acquire, peer, number)
            locks.append(gpulock.acquire(socket=peer.path, nested=False))
            serving.result(PATIENCE)
        for lock in locks:
            lock.release()
        assert len(idle._idle[peer.path]) == idle.MOST
        for caller in peer.callers[idle.MOST :]:
            caller.answer(caller.expect("release"))  # until then, the daemon may not have heard it
            caller.expect_end()

    def test_one_whose_release_the_watcher_is_to_say_is_not_kept_as_well(
        self, peer: ScriptedPeer, background: ThreadPoolExecutor
    ) -> None:
        serving = background.submit(serve_one_acquire, peer, 1)
        lock = gpulock.acquire(socket=peer.path)
        serving.result(PATIENCE)
        peer.callers[-1].close()
        back = peer.accept()
        connection = lock._connection
        connection.mutex = Slow(  # type: ignore[assignment]
            connection, lambda: back.welcome(locks=(grant("L1-1"),))
        )
        lock.release()
        assert connection.session.releasing
        assert not idle._idle.get(peer.path)
        back.answer(back.expect("release"), lock="L1-1")
        back.expect_end()

    def test_an_error_that_answers_a_release_is_told_at_the_next_use(
        self, peer: ScriptedPeer, background: ThreadPoolExecutor
    ) -> None:
        def refuse_the_release() -> None:
            caller = peer.accept()
            caller.welcome()
            caller.answer(caller.expect("acquire"), **grant())
            caller.refuse(caller.expect("release"), NotHeld("L1-1 ended long ago"))
            caller.answer(caller.expect("acquire"), **grant("L1-2"))
            caller.answer(caller.expect("release"))

        serving = background.submit(refuse_the_release)
        gpulock.acquire(socket=peer.path).release()
        with pytest.warns(RuntimeWarning, match="L1-1 ended long ago"):
            gpulock.acquire(socket=peer.path).release()
        serving.result(PATIENCE)


class TestAReleaseThatWasNotHeard:
    """A quiet one, on a connection that lies idle when it ends."""

    @pytest.fixture
    def grace(self) -> float:
        """Seconds for which the client looks for a daemon that it could tell."""
        return 60.0

    @pytest.fixture
    def connection(self, peer: ScriptedPeer, background: ThreadPoolExecutor, grace: float) -> Connection:
        """Has let go of L1-1 of a daemon that is gone."""

        def serve() -> None:
            caller = peer.accept()
            caller.welcome(quiet=("release",), grace=grace)
            caller.answer(caller.expect("acquire"), **grant())
            caller.expect_quiet("release")
            caller.close()

        serving = background.submit(serve)
        lock = gpulock.acquire(socket=peer.path)
        lock.release()
        serving.result(PATIENCE)
        return lock._connection

    def test_is_said_again_by_itself(self, peer: ScriptedPeer, connection: Connection) -> None:
        back = peer.accept()
        assert back.welcome(locks=(grant(),)).params["reattach"] == "the-key"
        back.answer(back.expect("release"))
        back.expect_end()
        wait_until(lambda: connection.link is None, "it is closed")

    def test_does_not_hold_up_the_next_lock(
        self, peer: ScriptedPeer, connection: Connection, background: ThreadPoolExecutor
    ) -> None:
        back = peer.accept()
        serving = background.submit(serve, peer, grant("L2-1"))
        with gpulock.acquire(socket=peer.path) as lock:
            assert lock._connection is not connection
        serving.result(PATIENCE)
        back.welcome(locks=(grant(),))
        back.answer(back.expect("release"))
        back.expect_end()

    @pytest.mark.parametrize("grace", [0.3])
    def test_is_said_first_by_the_next_use_where_the_daemon_was_away_for_too_long(
        self, peer: ScriptedPeer, connection: Connection, background: ThreadPoolExecutor
    ) -> None:
        peer.close()
        wait_until(lambda: given_up(connection), "it has given up")

        def serve_after_the_release(next_peer: ScriptedPeer) -> None:
            caller = next_peer.accept()
            assert caller.welcome().params["reattach"] == "the-key"
            caller.refuse(caller.expect("release"), NotHeld("it has ended"))
            caller.answer(caller.expect("acquire"), **grant("L2-1"))
            caller.expect("release")

        with ScriptedPeer(peer.path) as next_peer:
            serving = background.submit(serve_after_the_release, next_peer)
            with gpulock.acquire(socket=peer.path) as lock:
                assert lock._connection is connection
            serving.result(PATIENCE)

    def test_fails_aloud(
        self, peer: ScriptedPeer, background: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        complaints: list[ReleaseFailed] = []
        monkeypatch.setattr(idle, "complain", complaints.append)

        def refuse_the_release() -> None:
            caller = peer.accept()
            caller.welcome(quiet=("release",))
            caller.answer(caller.expect("acquire"), **grant())
            caller.expect_quiet("release")
            caller.notify("release-failed", **to_wire(NotHeld("L1-1 ended long ago")))

        serving = background.submit(refuse_the_release)
        lock = gpulock.acquire(socket=peer.path)
        lock.release()
        serving.result(PATIENCE)
        wait_until(lambda: complaints, "the watcher has heard it")
        [complaint] = complaints
        assert "L1-1 ended long ago" in str(complaint.error)


class Slow:
    """The mutex of a connection. Whoever leaves it in the main thread is slow to go on: the watcher has said by then
    what was to be said."""

    def __init__(self, connection: Connection, meanwhile: Callable[[], object]) -> None:
        self._mutex = connection.mutex
        self._connection = connection
        self._meanwhile = meanwhile

    def __enter__(self) -> None:
        self._mutex.acquire()

    def __exit__(self, *_: object) -> None:
        self._mutex.release()
        if threading.current_thread() is threading.main_thread():
            assert self._connection.session.phase == "leaving"
            self._meanwhile()
            wait_until(lambda: self._connection.session.phase == "idle", "the watcher has said it")


def serve_one_acquire(peer: ScriptedPeer, number: int) -> None:
    caller = peer.accept()
    caller.welcome()
    caller.answer(caller.expect("acquire"), **grant(f"L1-{number}"))


class Late:
    """The mutex of a lock's connection. Before it is locked for the first time, the lock is released."""

    def __init__(self, lock: gpulock.Lock) -> None:
        self._mutex = lock._connection.mutex
        self._lock: gpulock.Lock | None = lock

    def __enter__(self) -> None:
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.release()
        self._mutex.acquire()

    def __exit__(self, *_: object) -> None:
        self._mutex.release()


class TestTheBlock:
    def test_a_loss_is_raised_at_its_end(self, peer: ScriptedPeer, background: ThreadPoolExecutor) -> None:
        serving = background.submit(self.serve_a_loss, peer)
        with pytest.raises(gpulock.LockLost, match="revoked"), gpulock.acquire(socket=peer.path) as lock:
            wait_until(lambda: lock.lost, "the loss is noticed")
        serving.result(PATIENCE)

    def test_another_thread_may_end_it_while_one_waits_for_its_turn(
        self, peer: ScriptedPeer, background: ThreadPoolExecutor
    ) -> None:
        """Its connection is another lock's by then."""
        serving = background.submit(serve, peer, grant())
        lock = gpulock.acquire(socket=peer.path)
        lock._connection.mutex = Late(lock)  # type: ignore[assignment]
        with pytest.raises(NotHeld):
            lock.beat()
        serving.result(PATIENCE)
        assert peer.callers[0].says_nothing()

    def test_an_error_in_it_goes_on_with_a_note(self, peer: ScriptedPeer, background: ThreadPoolExecutor) -> None:
        serving = background.submit(self.serve_a_loss, peer)
        with pytest.raises(ZeroDivisionError) as caught, gpulock.acquire(socket=peer.path) as lock:
            wait_until(lambda: lock.lost, "the loss is noticed")
            _ = 1 / 0
        assert any("revoked" in note for note in caught.value.__notes__)
        serving.result(PATIENCE)

    def test_an_error_in_it_releases(self, peer: ScriptedPeer, background: ThreadPoolExecutor) -> None:
        serving = background.submit(serve, peer, grant())
        with pytest.raises(ZeroDivisionError), gpulock.acquire(socket=peer.path):
            _ = 1 / 0
        serving.result(PATIENCE)

    @staticmethod
    def serve_a_loss(peer: ScriptedPeer) -> None:
        caller = peer.accept()
        caller.welcome()
        caller.answer(caller.expect("acquire"), **grant())
        caller.notify("lost", lock="L1-1", token=1, reason="revoked", by="ann", note="", deadline=5.0)
        caller.answer(caller.expect("release"))


class TestTheWatcher:
    def test_there_is_one_for_all_locks(self, peer: ScriptedPeer, background: ThreadPoolExecutor) -> None:
        locks = []
        for number in range(3):
            serving = background.submit(serve_one_acquire, peer, number)
            locks.append(gpulock.acquire(socket=peer.path, nested=False))
            serving.result(PATIENCE)
        assert len(watchers()) == 1
        for lock in locks:
            lock.release()

    def test_there_is_one_for_threads_that_begin_together(
        self, background: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        together, made = threading.Barrier(2), []

        class Made(watcher._Watcher):
            def __init__(self) -> None:
                made.append(self)
                with suppress(threading.BrokenBarrierError):
                    together.wait(0.2)  # for whoever makes another one
                super().__init__()

            def add(self, watch: watcher.Watch) -> None:
                assert self is made[0]

        monkeypatch.setattr(watcher, "_Watcher", Made)
        monkeypatch.setattr(watcher, "_watcher", None)
        watched = [background.submit(watcher.watch, watcher.Watch(new("/nowhere"))) for _ in range(2)]
        for each in watched:
            each.result(PATIENCE)
        assert len(made) == 1
        made[0].abandon()

    def test_a_callback_that_fails_does_not_end_it(
        self, peer: ScriptedPeer, background: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        failures: list[Any] = []
        monkeypatch.setattr(threading, "excepthook", failures.append)
        told: list[str] = []

        def on_lost(lock: gpulock.Lock) -> None:
            told.append(lock.id)
            raise ValueError("a fault of the caller's")

        locks = []
        for number in (1, 2):
            serving = background.submit(serve_one_acquire, peer, number)
            locks.append(gpulock.acquire(socket=peer.path, nested=False, on_lost=on_lost))
            serving.result(PATIENCE)
            peer.callers[-1].notify("lost", lock=f"L1-{number}", token=1, reason="revoked", deadline=5.0)
            wait_until(lambda number=number: len(failures) == number, "the failure is reported")  # type: ignore[misc]
        assert told == ["L1-1", "L1-2"]
        assert [type(failure.exc_value) for failure in failures] == [ValueError, ValueError]
        for lock in locks:
            lock.release()

    def test_a_callback_may_release(self, peer: ScriptedPeer, background: ThreadPoolExecutor) -> None:
        serving = background.submit(TestTheBlock.serve_a_loss, peer)
        lock = gpulock.acquire(socket=peer.path, on_lost=lambda lock: lock.release())
        serving.result(PATIENCE)
        assert lock.lost

    def test_acquire_and_release_do_not_wake_it(self, daemon: Daemon) -> None:
        """In a process of its own, whose watcher has nothing else to look after."""
        process = processes.start([sys.executable, "-c", SLEEPS, daemon.socket])
        printed, complaints = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, complaints
        assert int(printed) < 10


SLEEPS = """
import sys, threading
from pathlib import Path
import gpulock

def sleeps():
    [watcher] = [thread for thread in threading.enumerate() if thread.name == "gpulock-watcher"]
    for line in Path(f"/proc/self/task/{watcher.native_id}/status").read_text().splitlines():
        if line.startswith("voluntary_ctxt_switches"):
            return int(line.split()[1])

gpulock.acquire(socket=sys.argv[1]).release()
before = sleeps()
for _ in range(49):
    gpulock.acquire(socket=sys.argv[1]).release()
print(sleeps() - before)
"""
"""How often the kernel has put the watcher to sleep during 49 locks."""


class TestInterruptedByASignal:
    class Alarm(Exception):
        pass

    @pytest.fixture(autouse=True)
    def alarm(self) -> Iterator[None]:
        def ring(_number: int, _frame: FrameType | None) -> None:
            raise self.Alarm

        before = signal.signal(signal.SIGALRM, ring)
        yield
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

    def test_the_wait_ends_and_the_request_with_it(self, peer: ScriptedPeer, background: ThreadPoolExecutor) -> None:
        def ring_once_asked() -> Caller:
            caller = peer.accept()
            caller.expect("hello")
            caller.expect("acquire")
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGALRM)
            return caller

        ringing = background.submit(ring_once_asked)
        with pytest.raises(self.Alarm):
            gpulock.acquire(socket=peer.path)
        ringing.result(PATIENCE).expect_end()
        assert not idle._idle.get(peer.path)

    def test_so_does_the_wait_for_a_daemon_that_is_away(self, tmp_path: Path) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        began = time.monotonic()
        with pytest.raises(self.Alarm):
            gpulock.acquire(socket=str(tmp_path / "none.sock"), unavailable_timeout=60)
        assert time.monotonic() - began < 5

    def test_a_signal_whose_handler_raises_nothing_does_not(
        self, peer: ScriptedPeer, background: ThreadPoolExecutor
    ) -> None:
        rung = []
        signal.signal(signal.SIGALRM, lambda *_: rung.append(1))
        signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)

        def grant_after_three() -> None:
            caller = peer.accept()
            caller.welcome()
            asked = caller.expect("acquire")
            wait_until(lambda: len(rung) >= 3, "three alarms")
            caller.answer(asked, **grant())
            caller.answer(caller.expect("release"))

        serving = background.submit(grant_after_three)
        gpulock.acquire(socket=peer.path).release()
        serving.result(PATIENCE)

    def test_a_timeout_error_of_a_handler_is_not_taken_for_our_own(self, peer: ScriptedPeer) -> None:
        def ring(_number: int, _frame: FrameType | None) -> None:
            raise TimeoutError("the caller's own")

        signal.signal(signal.SIGALRM, ring)
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(TimeoutError, match="the caller's own"):
            gpulock.acquire(socket=peer.path)


class TestNesting:
    @pytest.fixture(autouse=True)
    def outside(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("GPULOCK_LOCK", raising=False)

    @staticmethod
    def asked_within(peer: ScriptedPeer, answer: dict[str, Any]) -> Any:
        """Answers the next acquire on a new connection; the lock it came from inside of."""
        caller = peer.accept()
        caller.welcome()
        asked = caller.expect("acquire")
        caller.answer(asked, **answer)
        return asked.params.get("within")

    def test_the_lock_of_this_thread_is_named(self, peer: ScriptedPeer, background: ThreadPoolExecutor) -> None:
        serving = background.submit(self.asked_within, peer, grant("L1-1"))
        with gpulock.acquire(socket=peer.path) as outer:
            assert serving.result(PATIENCE) is None
            serving = background.submit(self.asked_within, peer, grant("L1-1", nested=True))
            with gpulock.acquire(socket=peer.path) as inner:
                assert serving.result(PATIENCE) == "L1-1"
                assert inner.nested
                assert inner.token == outer.token
            assert "held" in repr(outer)
            assert outer.id == "L1-1"

    def test_a_loss_of_the_outer_lock_is_the_inner_ones_too(
        self, peer: ScriptedPeer, background: ThreadPoolExecutor
    ) -> None:
        serving = background.submit(self.asked_within, peer, grant("L1-1"))
        outer = gpulock.acquire(socket=peer.path)
        serving.result(PATIENCE)
        holder = peer.callers[-1]
        serving = background.submit(self.asked_within, peer, grant("L1-1", nested=True))
        with pytest.raises(gpulock.LockLost), gpulock.acquire(socket=peer.path) as inner:
            serving.result(PATIENCE)
            holder.notify("lost", lock="L1-1", token=1, reason="revoked", deadline=5.0)
            wait_until(lambda: inner.lost, "the inner lock is lost")
        outer.release()

    def test_a_beat_of_the_inner_lock_is_the_outer_ones(
        self, peer: ScriptedPeer, background: ThreadPoolExecutor
    ) -> None:
        serving = background.submit(self.asked_within, peer, grant("L1-1"))
        with gpulock.acquire(socket=peer.path):
            serving.result(PATIENCE)
            holder = peer.callers[-1]
            serving = background.submit(self.asked_within, peer, grant("L1-1", nested=True))
            with gpulock.acquire(socket=peer.path) as inner:
                serving.result(PATIENCE)
                beat = background.submit(lambda: holder.answer(holder.expect("beat")))
                inner.beat(0.5, "half")
                beat.result(PATIENCE)

    def test_a_lock_of_an_outer_process_is_named(
        self, peer: ScriptedPeer, background: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("GPULOCK_LOCK", "L0-9")
        serving = background.submit(self.asked_within, peer, grant("L0-9", nested=True))
        with gpulock.acquire(socket=peer.path) as lock:
            assert serving.result(PATIENCE) == "L0-9"
            with pytest.raises(NotHeld):
                lock.beat()

    def test_a_lock_that_was_released_is_not_named(self, peer: ScriptedPeer, background: ThreadPoolExecutor) -> None:
        serving = background.submit(serve, peer, grant("L1-1"))
        gpulock.acquire(socket=peer.path).release()
        caller = serving.result(PATIENCE)
        asked = background.submit(lambda: caller.expect("acquire"))
        threading.Thread(
            target=lambda: caller.answer(asked.result(PATIENCE), **grant("L1-2")),
        ).start()
        gpulock.acquire(socket=peer.path).release()
        assert "within" not in asked.result(PATIENCE).params

    def test_another_thread_is_a_stranger(self, peer: ScriptedPeer, background: ThreadPoolExecutor) -> None:
        serving = background.submit(self.asked_within, peer, grant("L1-1"))
        with gpulock.acquire(socket=peer.path):
            serving.result(PATIENCE)
            serving = background.submit(self.asked_within, peer, grant("L1-2"))
            background.submit(lambda: gpulock.acquire(socket=peer.path).release()).result(PATIENCE)
            assert serving.result(PATIENCE) is None

    def test_locks_may_end_in_any_order(self, peer: ScriptedPeer, background: ThreadPoolExecutor) -> None:
        locks = []
        for number in (1, 2, 3):
            serving = background.submit(serve_one_acquire, peer, number)
            locks.append(gpulock.acquire(socket=peer.path, gpus=[number]))
            serving.result(PATIENCE)
        locks[1].release()
        locks[2].release()
        caller = peer.callers[2]
        caller.answer(caller.expect("release"))
        asked = background.submit(lambda: caller.expect("acquire"))
        threading.Thread(target=lambda: caller.answer(asked.result(PATIENCE), **grant("L1-1", nested=True))).start()
        assert gpulock.acquire(socket=peer.path).nested
        assert asked.result(PATIENCE).params["within"] == "L1-1"
        locks[0].release()


def test_set_env_lasts_as_long_as_the_lock(
    peer: ScriptedPeer, background: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    monkeypatch.delenv("GPULOCK_TOKEN", raising=False)
    serving = background.submit(serve, peer, grant())
    with gpulock.acquire(socket=peer.path, set_env=True):
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-00000000"
        assert os.environ["GPULOCK_TOKEN"] == str((1 << 32) + 1)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "7"
    assert "GPULOCK_TOKEN" not in os.environ
    serving.result(PATIENCE)


def test_the_environment_is_left_alone_otherwise(peer: ScriptedPeer, background: ThreadPoolExecutor) -> None:
    serving = background.submit(serve, peer, grant())
    before = dict(os.environ)
    with gpulock.acquire(socket=peer.path) as lock:
        assert dict(os.environ) == before
        assert lock.env["CUDA_VISIBLE_DEVICES"] == "GPU-00000000"
    serving.result(PATIENCE)


@pytest.mark.root
def test_a_socket_that_one_may_not_use_says_which_group_may(tmp_path: Path) -> None:
    with ScriptedPeer(tmp_path / "s.sock") as peer:
        os.seteuid(65534)
        try:
            with pytest.raises(NotPermitted, match="group"):
                gpulock.acquire(socket=peer.path)
        finally:
            os.seteuid(0)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Daemon(tmp_path_factory.mktemp("d")) as daemon:
        yield daemon
    idle.close_all()


class TestClient:
    def test_questions(self, daemon: Daemon) -> None:
        with Client(daemon.socket) as client:
            assert len(client.status()["gpus"]) == 2
            assert client.queue()["queue"] == []
            assert client.call("why", subject="0")["kind"] == "gpu"

    def test_an_error_leaves_the_connection_as_it_is(self, daemon: Daemon) -> None:
        with Client(daemon.socket) as client:
            client.status()
            before = client._connection.fileno()
            with pytest.raises(gpulock.UnknownMethod):
                client.call("dance")
            with pytest.raises(gpulock.InvalidRequest):
                client.call("status", colour="blue")
            client.status()
            assert client._connection.fileno() == before

    def test_a_daemon_that_was_restarted_is_found_again(self, daemon: Daemon) -> None:
        with Client(daemon.socket) as client:
            client.status()
            daemon.restart()
            client.status()

    def test_no_daemon(self, tmp_path: Path) -> None:
        with pytest.raises(gpulock.DaemonUnavailable):
            Client(str(tmp_path / "none.sock")).status()
        began = time.monotonic()
        with pytest.raises(gpulock.DaemonUnavailable):
            Client(str(tmp_path / "none.sock"), unavailable_timeout=0.3).status()
        assert 0.2 < time.monotonic() - began < 5

    def test_a_daemon_that_does_not_answer(self, peer: ScriptedPeer) -> None:
        with pytest.raises(gpulock.DaemonUnavailable, match="nothing came within"):
            Client(peer.path, timeout=0.2).status()

    def test_threads_may_share_one(self, daemon: Daemon, background: ThreadPoolExecutor) -> None:
        with Client(daemon.socket) as client:
            answers = [background.submit(client.status) for _ in range(40)]
            assert all(len(answer.result(PATIENCE)["gpus"]) == 2 for answer in answers)

    def test_watching(self, daemon: Daemon) -> None:
        with Client(daemon.socket) as client:
            events = client.watch(every=0.05)
            assert next(events) is None
            gpulock.acquire(socket=daemon.socket, nested=False).release()
            kinds = []
            while "lock.ended" not in kinds:
                if (event := next(events)) is not None:
                    kinds.append(event["kind"])
            assert "lock.granted" in kinds
            events.close()  # type: ignore[attr-defined]

    def test_watching_ends_with_the_daemon(self, daemon: Daemon) -> None:
        with Client(daemon.socket) as client:
            events = client.watch(every=0.01)
            next(events)
            daemon.kill()
            with pytest.raises(gpulock.DaemonUnavailable):
                wait_until(lambda: next(events), "the end")
        daemon.start()
