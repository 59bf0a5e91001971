"""What only the asyncio client does: blocks to enter, tasks to cancel, callbacks that are coroutines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

import gpulock
from gpulock import aio
from tests.support.daemon import Daemon
from tests.support.scripted_peer import Caller, ScriptedPeer, grant
from tests.support.waiting import eventually


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Daemon(tmp_path_factory.mktemp("d")) as daemon:
        yield daemon


async def accept(peer: ScriptedPeer) -> Caller:
    return await asyncio.to_thread(peer.accept)


async def serve(peer: ScriptedPeer, lock: dict[str, Any]) -> Caller:
    caller = await accept(peer)
    await asyncio.to_thread(caller.welcome)
    caller.answer(await asyncio.to_thread(caller.expect, "acquire"), **lock)
    return caller


async def free(daemon: Daemon) -> None:
    await eventually(lambda: not daemon.status()["locks"], "no lock is left")


async def test_a_block_holds_a_lock(daemon: Daemon) -> None:
    async with aio.acquire(2, task="ocr", socket=daemon.socket) as lock:
        assert [each["id"] for each in daemon.status()["locks"]] == [lock.id]
        assert len(lock.gpus) == 2
    assert daemon.status()["locks"] == []  # the answer to the release was waited for


async def test_a_lock_may_be_awaited_and_entered_later(daemon: Daemon) -> None:
    lock = await aio.acquire(socket=daemon.socket)
    async with lock:
        await lock.beat(0.5, "half")
        assert await lock.extend("10m") == pytest.approx(600, abs=1)
    assert daemon.status()["locks"] == []


async def test_nothing_is_asked_before_it_is_awaited(daemon: Daemon) -> None:
    aio.acquire(socket=daemon.socket)
    assert daemon.status()["locks"] == []


async def test_what_has_a_wrong_form_is_refused_at_once() -> None:
    with pytest.raises(gpulock.InvalidRequest):
        aio.acquire(0)


async def test_a_cancelled_wait_leaves_no_request(daemon: Daemon) -> None:
    async with aio.acquire(2, socket=daemon.socket):
        task = asyncio.create_task(take(daemon))
        await eventually(lambda: daemon.call("queue")["queue"], "it waits")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await eventually(lambda: not daemon.call("queue")["queue"], "the request is gone")


async def take(daemon: Daemon) -> None:
    async with aio.acquire(socket=daemon.socket, nested=False):
        raise AssertionError("it was granted")


async def test_a_timeout_around_a_wait_ends_it(daemon: Daemon) -> None:
    async with aio.acquire(2, socket=daemon.socket):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await take(daemon)
        await eventually(lambda: not daemon.call("queue")["queue"], "the request is gone")


async def test_a_cancelled_block_releases(daemon: Daemon) -> None:
    entered = asyncio.Event()

    async def work() -> None:
        async with aio.acquire(socket=daemon.socket):
            entered.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(work())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await free(daemon)


async def test_many_tasks_take_turns(daemon: Daemon) -> None:
    holders, most = 0, 0

    async def work() -> None:
        nonlocal holders, most
        async with aio.acquire(2, socket=daemon.socket):
            holders += 1
            most = max(most, holders)
            await asyncio.sleep(0)
            holders -= 1

    await asyncio.gather(*(work() for _ in range(20)))
    assert most == 1


async def test_tasks_are_strangers_and_what_they_start_is_not(daemon: Daemon) -> None:
    async with aio.acquire(1, socket=daemon.socket) as outer:

        async def inside() -> bool:
            async with aio.acquire(1, socket=daemon.socket) as lock:
                return lock.nested and lock.id == outer.id

        assert await inside()
        assert await asyncio.create_task(inside())
    await free(daemon)

    async def other() -> aio.Lock:
        return await aio.acquire(1, socket=daemon.socket)

    first, second = await asyncio.gather(other(), other())
    assert first.id != second.id
    await first.release()
    await second.release()


async def test_a_loss_is_raised_at_the_end_of_the_block(daemon: Daemon) -> None:
    with pytest.raises(gpulock.LockLost):
        async with aio.acquire(socket=daemon.socket) as lock:
            daemon.call("revoke", subject=lock.id)
            await eventually(lambda: lock.lost, "the loss is noticed")
    await free(daemon)


async def test_a_callback_may_be_a_coroutine_function(daemon: Daemon) -> None:
    told: list[str] = []

    async def on_lost(lock: aio.Lock) -> None:
        await asyncio.sleep(0)
        told.append(lock.id)
        await lock.release()

    lock = await aio.acquire(socket=daemon.socket, on_lost=on_lost)
    daemon.call("revoke", subject=lock.id)
    await eventually(lambda: told == [lock.id], "the callback has run")
    await free(daemon)


async def test_a_loss_that_comes_right_behind_the_grant(peer: ScriptedPeer) -> None:
    async def serve_both() -> None:
        caller = await serve(peer, grant())
        caller.notify("lost", lock="L1-1", token=1, reason="revoked", deadline=5.0)
        caller.answer(await asyncio.to_thread(caller.expect, "release"))

    serving = asyncio.create_task(serve_both())
    with pytest.raises(gpulock.LockLost):
        async with aio.acquire(socket=peer.path) as lock:
            await eventually(lambda: lock.lost, "the loss is noticed")
    await serving


async def test_a_daemon_that_goes_away_before_the_holder_looks(peer: ScriptedPeer) -> None:
    async def grant_and_hang_up() -> None:
        (await serve(peer, grant())).close()
        back = await accept(peer)
        await asyncio.to_thread(back.welcome, locks=(grant(),))
        await asyncio.to_thread(back.expect, "release")

    serving = asyncio.create_task(grant_and_hang_up())
    lock = await aio.acquire(socket=peer.path)
    await lock.release()
    await serving
    assert peer.nobody_calls()


async def cycle(path: str) -> None:
    async with aio.acquire(socket=path):
        pass


async def test_the_next_lock_goes_over_the_same_connection(peer: ScriptedPeer) -> None:
    async def serve_three() -> None:
        caller = await serve(peer, grant())
        caller.answer(await asyncio.to_thread(caller.expect, "release"))
        caller.refuse(await asyncio.to_thread(caller.expect, "acquire"), gpulock.Busy("taken"))
        caller.answer(await asyncio.to_thread(caller.expect, "acquire"), **grant("L1-2"))
        caller.answer(await asyncio.to_thread(caller.expect, "release"))

    serving = asyncio.create_task(serve_three())
    await cycle(peer.path)
    with pytest.raises(gpulock.Busy):
        await cycle(peer.path)
    await cycle(peer.path)
    await serving


async def test_a_connection_that_broke_while_it_lay_idle_is_replaced(peer: ScriptedPeer) -> None:
    async def serve_two() -> None:
        for _ in range(2):
            caller = await serve(peer, grant())
            caller.answer(await asyncio.to_thread(caller.expect, "release"))
            caller.close()

    serving = asyncio.create_task(serve_two())
    await cycle(peer.path)
    await cycle(peer.path)
    await serving


def test_idle_connections_end_with_their_loop(peer: ScriptedPeer) -> None:
    async def one() -> Caller:
        serving = asyncio.create_task(serve(peer, grant()))
        lock = await aio.acquire(socket=peer.path)
        releasing = asyncio.create_task(lock.release())
        caller = await serving
        caller.answer(await asyncio.to_thread(caller.expect, "release"))
        await releasing
        assert caller.says_nothing()
        return caller

    asyncio.run(one()).expect_end()
    asyncio.run(one()).expect_end()


async def test_set_env_lasts_as_long_as_the_lock(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    monkeypatch.delenv("GPULOCK_TOKEN", raising=False)
    async with aio.acquire(socket=daemon.socket, set_env=True) as lock:
        assert os.environ["GPULOCK_TOKEN"] == str(lock.token)
    assert "GPULOCK_TOKEN" not in os.environ


class TestClient:
    @pytest.fixture
    async def client(self, daemon: Daemon) -> AsyncIterator[aio.Client]:
        async with aio.Client(daemon.socket) as client:
            yield client

    async def test_questions(self, client: aio.Client) -> None:
        status, queue = await asyncio.gather(client.status(), client.queue())
        assert len(status["gpus"]) == 2
        assert queue["queue"] == []
        with pytest.raises(gpulock.UnknownMethod):
            await client.call("dance")
        assert (await client.call("why", subject="0"))["kind"] == "gpu"

    async def test_watching(self, client: aio.Client, daemon: Daemon) -> None:
        kinds = []
        watching = client.watch()
        first = asyncio.ensure_future(anext(watching))
        while not first.done():  # what happens before the daemon has heard of the watcher is not told to it
            async with aio.acquire(socket=daemon.socket, nested=False):
                pass
        kinds.append((await first)["kind"])
        while "lock.ended" not in kinds:
            kinds.append((await anext(watching))["kind"])
        await watching.aclose()  # type: ignore[attr-defined]

    async def test_no_daemon(self, tmp_path: Path) -> None:
        with pytest.raises(gpulock.DaemonUnavailable):
            await aio.Client(str(tmp_path / "none.sock")).status()

    async def test_a_daemon_that_was_restarted_is_found_again(self, client: aio.Client, daemon: Daemon) -> None:
        await client.status()
        daemon.restart()
        await eventually(lambda: client._connection is not None and client._connection.transport is None, "noticed")
        await client.status()
