"""Releases, and how the daemons that wait hear of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gpulockd.core.events import Event, LeaseFreed
from gpulockd.leases.redis import RedisLeases
from tests.support.valkey import Valkey
from tests.support.waiting import eventually

from .conftest import NewDaemon
from .proxy import Proxy

pytestmark = pytest.mark.redis

CHANNEL = "gpulockd:{leases}:released"


@asynccontextmanager
async def listening(daemon: RedisLeases, server: Valkey, listeners: int = 1) -> AsyncIterator[list[Event]]:
    heard: list[Event] = []
    task = asyncio.create_task(daemon.listen(heard.append))
    try:
        await subscribed(server, listeners)
        yield heard
        assert not task.done(), "listening ended by itself"
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def subscribed(server: Valkey, listeners: int) -> None:
    with server.client() as client:
        await eventually(
            lambda: client.pubsub_numsub(CHANNEL) == [(CHANNEL.encode(), listeners)],
            f"{listeners} daemons listen",
        )


async def test_a_released_gpu_can_be_claimed_by_another(new_daemon: NewDaemon) -> None:
    first, second = new_daemon("host-a"), new_daemon("host-b")
    epochs = (await first.claim(1, ["GPU-0", "GPU-1"], floor=0)).epochs
    await first.release(epochs)
    assert set((await second.claim(1, ["GPU-0", "GPU-1"], floor=0)).epochs) == {"GPU-0", "GPU-1"}


async def test_only_what_is_ours_is_released(new_daemon: NewDaemon, server: Valkey) -> None:
    first, second = new_daemon("host-a"), new_daemon("host-b")
    await first.claim(1, ["GPU-0"], floor=0)
    async with listening(second, server) as heard:
        await second.release({"GPU-0": 1})  # Another's, with the right epoch.
        await first.release({"GPU-0": 7, "GPU-5": 1})  # Its own with a wrong epoch, and one that nobody has.
        assert (await first.renew(2, {"GPU-0": 1}, {})).kept == {"GPU-0"}
        await first.release({"GPU-0": 1})
        await eventually(lambda: heard, "the only release that was one is heard")
        assert heard == [LeaseFreed(frozenset({"GPU-0"}))]


async def test_releasing_nothing_asks_nobody(daemons: NewDaemon) -> None:
    await daemons("unix:///nowhere/at-all.sock").release({})


async def test_the_others_hear_of_a_release_and_the_daemon_itself_does_not(
    new_daemon: NewDaemon, server: Valkey
) -> None:
    first, second = new_daemon("host-a"), new_daemon("host-b")
    epochs = (await first.claim(1, ["GPU-0", "GPU-1"], floor=0)).epochs
    async with listening(first, server) as own, listening(second, server, listeners=2) as heard:
        await first.release(epochs)
        await eventually(lambda: heard, "the release is heard")
        assert heard == [LeaseFreed(frozenset({"GPU-0", "GPU-1"}))]
        await second.claim(1, ["GPU-0"], floor=0)
        await second.release({"GPU-0": 2})
        await eventually(lambda: own, "the other's release is heard")
        assert own == [LeaseFreed(frozenset({"GPU-0"}))]


async def test_strange_messages_are_logged_and_passed_over(
    new_daemon: NewDaemon, server: Valkey, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = new_daemon("host-a"), new_daemon("host-b")
    async with listening(second, server) as heard:
        with server.client() as client:
            for message in (b"\xff\xfe", b"[]", b"{}", b'{"instance": 1, "gpus": 2}', b""):
                client.publish(CHANNEL, message)
        await first.claim(1, ["GPU-0"], floor=0)
        await first.release({"GPU-0": 1})
        await eventually(lambda: heard, "the release after them is heard")
        assert heard == [LeaseFreed(frozenset({"GPU-0"}))]
    assert caplog.text.count("is from no gpulockd") == 5


async def test_listening_outlives_the_connection(
    daemons: NewDaemon, new_daemon: NewDaemon, server: Valkey, tmp_path: Path
) -> None:
    first = new_daemon("host-a")
    async with Proxy(server.path, tmp_path / "proxy") as proxy:
        second = daemons(proxy.url, "host-b")
        async with listening(second, server) as heard:
            for round_ in (1, 2, 3):
                proxy.cut()
                await subscribed(server, 0)
                await subscribed(server, 1)
                await first.claim(round_, ["GPU-0"], floor=0)
                await first.release({"GPU-0": round_})
                await eventually(lambda: len(heard) == round_, "the release is heard")  # noqa: B023
        await second.close()


async def test_listening_waits_for_a_server_that_is_away(daemons: NewDaemon, caplog: pytest.LogCaptureFixture) -> None:
    with Valkey() as server:
        first, second = daemons(server, "host-a"), daemons(server, "host-b")
        caplog.set_level("INFO")
        async with listening(second, server) as heard:
            server.kill()
            await eventually(lambda: "are not heard" in caplog.text, "the fault is logged")
            server.start()
            await subscribed(server, 1)
            await first.claim(1, ["GPU-0"], floor=0)
            await first.release({"GPU-0": 1})
            await eventually(lambda: heard, "the release is heard")
        assert "are heard again" in caplog.text
        assert caplog.text.count("refuses the connection") <= 1, "one fault is told once"


async def test_a_release_under_a_full_server(daemons: NewDaemon) -> None:
    with Valkey() as server, server.client() as client:
        daemon = daemons(server)
        epochs = (await daemon.claim(1, ["GPU-0"], floor=0)).epochs
        client.config_set("maxmemory", "1")
        await daemon.release(epochs)
        assert client.exists("gpulockd:{leases}:lease:GPU-0") == 0
