"""What a task makes of being asked to finish: an exception, with asyncio a cancellation, or nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest

import gpulock
from gpulock import aio
from tests.support.daemon import Daemon
from tests.support.waiting import PATIENCE, eventually, wait_until

SOFT = 0.4
END = 60.0


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    levels = {"warning": SOFT / 2, "soft_timeout": SOFT, "hard_timeout": 2 * END}
    settings: dict[str, object] = {f"gpu_lock_monitor.timeout_levels.{name}": each for name, each in levels.items()}
    with Daemon(tmp_path_factory.mktemp("d"), settings={"gpu_lock.lock_timeout": END, **settings}) as daemon:
        yield daemon


def telling() -> tuple[list[str], Any]:
    """What has been told so far, and the callback that notes it."""
    told: list[str] = []
    return told, lambda _lock, warned: told.append(warned.level)


class TestBlocking:
    def test_the_next_check_raises_it_once(self, daemon: Daemon) -> None:
        began = time.monotonic()
        with gpulock.acquire(socket=daemon.socket, soft_timeout="raise") as lock:
            with pytest.raises(gpulock.SoftTimeout, match=f"lock {lock.id}, held for") as caught:
                wait_until(lock.check, "it is raised")
            assert time.monotonic() - began >= SOFT
            assert caught.value.data["lock"] == lock.id
            assert caught.value.data["deadline"] == pytest.approx(END - caught.value.data["held_for"], abs=0.01)
            lock.check()
            lock.beat(0.9, "writing what there is")
            assert not lock.lost
        assert daemon.status()["locks"] == []

    def test_a_beat_is_told_before_it_raises(self, daemon: Daemon) -> None:
        told, on_warning = telling()
        with gpulock.acquire(socket=daemon.socket, soft_timeout="raise", on_warning=on_warning) as lock:
            lock.beat(0.1, "early")
            wait_until(lambda: told == ["warning", "soft"], "the task is asked to finish")
            with pytest.raises(gpulock.SoftTimeout):
                lock.beat(0.5, "half")
            [seen] = daemon.status()["locks"]
            assert (seen["progress"], seen["note"]) == (0.5, "half")

    def test_it_leaves_the_block_and_the_lock_with_it(self, daemon: Daemon) -> None:
        with pytest.raises(gpulock.SoftTimeout), gpulock.acquire(socket=daemon.socket, soft_timeout="raise") as lock:
            wait_until(lock.check, "it is raised")
        assert lock.lost_reason is None
        wait_until(lambda: daemon.status()["locks"] == [], "the lock is given back")

    def test_a_task_that_ends_without_a_check_is_not_bothered(self, daemon: Daemon) -> None:
        told, on_warning = telling()
        with gpulock.acquire(socket=daemon.socket, soft_timeout="raise", on_warning=on_warning):
            wait_until(lambda: told == ["warning", "soft"], "the task is asked to finish")

    def test_nothing_is_raised_where_nobody_asked_for_it(self, daemon: Daemon) -> None:
        told, on_warning = telling()
        with gpulock.acquire(socket=daemon.socket, on_warning=on_warning) as lock:
            wait_until(lambda: told == ["warning", "soft"], "the task is asked to finish")
            lock.check()
            lock.beat()

    def test_a_nested_lock_hears_what_the_outer_ones_daemon_says(self, daemon: Daemon) -> None:
        with gpulock.acquire(socket=daemon.socket) as outer:
            with gpulock.acquire(socket=daemon.socket, soft_timeout="raise") as inner:
                assert inner.nested
                with pytest.raises(gpulock.SoftTimeout):
                    wait_until(inner.check, "it is raised")
            outer.check()

    def test_a_decorated_function(self, daemon: Daemon) -> None:
        @gpulock.gpu_lock(socket=daemon.socket, soft_timeout="raise")
        def work(lock: Any = None) -> None:
            wait_until(lock.check, "it is raised")

        with pytest.raises(gpulock.SoftTimeout):
            work()

    def test_a_thread_cannot_be_cancelled(self, daemon: Daemon) -> None:
        with pytest.raises(gpulock.InvalidRequest, match="asyncio"):
            gpulock.acquire(socket=daemon.socket, soft_timeout="cancel")  # type: ignore[arg-type]


class TestAsyncio:
    async def test_the_next_beat_raises_it_once(self, daemon: Daemon) -> None:
        told, on_warning = telling()
        async with aio.acquire(socket=daemon.socket, soft_timeout="raise", on_warning=on_warning) as lock:
            await eventually(lambda: told == ["warning", "soft"], "the task is asked to finish")
            with pytest.raises(gpulock.SoftTimeout):
                await lock.beat(0.5)
            await lock.beat(0.6)
            lock.check()

    async def test_the_block_is_cancelled_and_left_by_it(self, daemon: Daemon) -> None:
        seen: list[BaseException] = []
        with pytest.raises(gpulock.SoftTimeout) as caught:
            async with aio.acquire(socket=daemon.socket, soft_timeout="cancel"):
                try:
                    await asyncio.sleep(PATIENCE)
                except asyncio.CancelledError as cancellation:
                    seen.append(cancellation)
                    raise
        assert caught.value.__cause__ is seen[0]
        assert daemon.status()["locks"] == []
        assert task().cancelling() == 0

    async def test_a_lock_that_was_awaited_is_heeded_from_its_block_on(self, daemon: Daemon) -> None:
        told, on_warning = telling()
        lock = await aio.acquire(socket=daemon.socket, soft_timeout="cancel", on_warning=on_warning)
        await eventually(lambda: told == ["warning", "soft"], "the task is asked to finish")
        with pytest.raises(gpulock.SoftTimeout):
            async with lock:
                await asyncio.sleep(PATIENCE)

    async def test_a_cancellation_from_outside_stays_one(self, daemon: Daemon) -> None:
        inside = asyncio.Event()

        async def hold() -> None:
            async with aio.acquire(socket=daemon.socket, soft_timeout="cancel"):
                inside.set()
                await asyncio.sleep(PATIENCE)

        holder = asyncio.create_task(hold())
        await inside.wait()
        holder.cancel()
        with pytest.raises(asyncio.CancelledError):
            await holder

    async def test_so_does_one_that_comes_with_it(self, daemon: Daemon) -> None:
        async def hold() -> None:
            async with aio.acquire(socket=daemon.socket, soft_timeout="cancel"):
                try:
                    await asyncio.sleep(PATIENCE)
                except asyncio.CancelledError:
                    task().cancel()
                    raise

        with pytest.raises(asyncio.CancelledError):
            await asyncio.create_task(hold())

    async def test_an_error_of_the_block_goes_before_it(self, daemon: Daemon) -> None:
        with pytest.raises(ZeroDivisionError):
            async with aio.acquire(socket=daemon.socket, soft_timeout="cancel"):
                try:
                    await asyncio.sleep(PATIENCE)
                finally:
                    _ = 1 / 0
        assert task().cancelling() == 0

    async def test_a_task_that_swallows_it_goes_on(self, daemon: Daemon) -> None:
        async with aio.acquire(socket=daemon.socket, soft_timeout="cancel") as lock:
            with pytest.raises(asyncio.CancelledError):
                await asyncio.sleep(PATIENCE)
            await lock.beat(0.9, "writing what there is")
        assert task().cancelling() == 0

    async def test_the_block_that_asked_for_it_is_left_however_deep(self, daemon: Daemon) -> None:
        left: list[str] = []
        async with aio.acquire(socket=daemon.socket) as outer:
            try:
                async with aio.acquire(socket=daemon.socket, soft_timeout="cancel") as inner:
                    assert inner.nested
                    await asyncio.sleep(PATIENCE)
            except gpulock.SoftTimeout:
                left.append("inner")
            await outer.beat()
        assert left == ["inner"]

    async def test_so_is_one_inside_a_lock_of_the_blocking_client(self, daemon: Daemon) -> None:
        def run() -> None:
            with gpulock.acquire(socket=daemon.socket):
                asyncio.run(hold())

        async def hold() -> None:
            async with aio.acquire(socket=daemon.socket, soft_timeout="cancel") as inner:
                assert inner.nested
                await asyncio.sleep(PATIENCE)

        with pytest.raises(gpulock.SoftTimeout):
            await asyncio.to_thread(run)

    async def test_a_decorated_coroutine_function(self, daemon: Daemon) -> None:
        @gpulock.gpu_lock(socket=daemon.socket, soft_timeout="cancel")
        async def work() -> None:
            await asyncio.sleep(PATIENCE)

        with pytest.raises(gpulock.SoftTimeout):
            await work()

    async def test_what_there_is_not(self) -> None:
        with pytest.raises(gpulock.InvalidRequest, match="known: raise, cancel"):
            aio.acquire(soft_timeout="explode")  # type: ignore[arg-type]


def task() -> asyncio.Task[Any]:
    current = asyncio.current_task()
    assert current is not None
    return current
