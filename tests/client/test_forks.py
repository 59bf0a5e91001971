"""After fork() the child owns nothing: not the lock, not the connection, not the watcher."""

from __future__ import annotations

import multiprocessing
import os
import stat
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import gpulock
from gpulock import aio, idle
from gpulock.errors import NotHeld
from tests.support.daemon import Daemon
from tests.support.waiting import PATIENCE, eventually, wait_until


@pytest.fixture(scope="module")
def shared_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Daemon(tmp_path_factory.mktemp("d")) as daemon:
        yield daemon
    idle.close_all()


@pytest.fixture
def daemon(shared_daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    monkeypatch.setenv("GPULOCK_SOCKET", shared_daemon.socket)
    yield shared_daemon
    wait_until(lambda: not shared_daemon.status()["locks"], "no lock is left")


def in_a_child(check: Callable[[], object]) -> None:
    """Forks, and has the child run `check`; what fails there fails here."""
    report, child_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            check()
        except BaseException:  # noqa: BLE001  # nothing may get out of the child but its report
            os.write(child_end, traceback.format_exc().encode())
        os._exit(0)
    os.close(child_end)
    with open(report) as failure:
        story = failure.read()
    os.waitpid(pid, 0)
    if story:
        pytest.fail(story)


def our_sockets() -> set[int]:
    """File descriptors of this process that are connections to a daemon."""
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            if stat.S_ISSOCK(entry.stat().st_mode):
                found.add(int(entry.name))
        except OSError:
            continue
    return found


def test_the_child_closes_what_it_inherited_and_the_parent_keeps_it(daemon: Daemon) -> None:
    idle.close_all()
    before = our_sockets()
    with gpulock.acquire(1, nested=False):
        gpulock.acquire(1, nested=False).release()  # its connection lies idle
        with gpulock.Client() as client:
            client.status()
            check_in_child(before)
            client.status()
            assert len(daemon.status()["locks"]) == 1


def check_in_child(before: set[int]) -> None:
    assert len(our_sockets() - before) == 3

    def check() -> None:
        assert our_sockets() <= before

    in_a_child(check)
    assert len(our_sockets() - before) == 3


def test_the_childs_copy_of_a_lock_is_void(daemon: Daemon) -> None:
    with gpulock.acquire() as lock:

        def check() -> None:
            with pytest.raises(NotHeld, match="child"):
                lock.extend(10)
            with pytest.raises(NotHeld):
                lock.beat()
            lock.release()
            lock.__exit__(None, None, None)

        in_a_child(check)
        assert [each["id"] for each in daemon.status()["locks"]] == [lock.id]
        lock.beat(0.5)


def test_dropping_the_childs_copy_says_nothing(daemon: Daemon) -> None:
    lock = gpulock.acquire()
    holder = [lock]
    del lock

    def check() -> None:
        holder.clear()

    in_a_child(check)
    assert len(daemon.status()["locks"]) == 1
    holder[0].release()


def test_the_child_can_acquire_for_itself(daemon: Daemon) -> None:
    gpulock.acquire().release()  # a connection lies idle, and a watcher runs
    with gpulock.acquire(1) as lock:

        def check() -> None:
            assert not [thread for thread in threading.enumerate() if thread.name == "gpulock-watcher"]
            with gpulock.acquire(1, nested=False) as own:
                assert own.id != lock.id
                owners = {each["id"]: each["owner"]["pid"] for each in daemon.status()["locks"]}
                assert owners == {lock.id: os.getppid(), own.id: os.getpid()}
                daemon.call("revoke", subject=own.id)
                wait_until(lambda: own.lost, "the child's own watcher hears of it")
                own.release()
                with pytest.raises(gpulock.LockLost):
                    own.check()
                own._tenure.loss = None

        in_a_child(check)
        assert not lock.lost


def test_the_child_runs_under_its_parents_lock(daemon: Daemon) -> None:
    with gpulock.acquire(1) as lock:

        def check() -> None:
            with gpulock.acquire(1) as inner:
                assert (inner.id, inner.nested) == (lock.id, True)

        in_a_child(check)


def test_a_fork_from_a_thread_while_others_hold_and_wait(daemon: Daemon) -> None:
    with gpulock.acquire(1, nested=False):
        waiting = threading.Thread(target=lambda: gpulock.acquire(2).release())
        waiting.start()
        wait_until(lambda: daemon.call("queue")["queue"], "the other thread waits")
        in_a_child(lambda: gpulock.Client().status())
        thread = threading.Thread(target=in_a_child, args=(lambda: gpulock.Client().status(),))
        thread.start()
        thread.join()
    waiting.join(PATIENCE)
    assert not waiting.is_alive()


async def test_an_asyncio_connection_is_closed_in_the_child(daemon: Daemon) -> None:
    before = our_sockets()
    lock = await aio.acquire()
    fd = lock._connection.transport.get_extra_info("socket").fileno()  # type: ignore[union-attr]

    def check() -> None:
        assert our_sockets() <= before
        assert Path(f"/proc/self/fd/{fd}").readlink() == Path("/dev/null")  # no later close() can hit a stranger

    in_a_child(check)
    assert [each["id"] for each in daemon.status()["locks"]] == [lock.id]
    await lock.beat(0.5)
    daemon.call("revoke", subject=lock.id)
    await eventually(lambda: lock.lost, "the parent's loop still hears of it")
    await lock.release()


def work(path: str) -> int:
    with gpulock.acquire(socket=path, nested=False) as lock:
        return lock.token


def test_workers_of_a_forked_pool(daemon: Daemon) -> None:
    gpulock.acquire().release()
    with multiprocessing.get_context("fork").Pool(3) as pool:
        tokens = pool.map(work, [daemon.socket] * 30, chunksize=1)
    assert len(set(tokens)) == 30
