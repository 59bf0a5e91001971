"""What hosts agree on about a canary, on real servers: one change is one script, and nothing stays for ever."""

from __future__ import annotations

import asyncio
import math

import pytest

from tests.support.valkey import Valkey
from tests.support.waiting import eventually

from .conftest import NewDaemon

pytestmark = pytest.mark.redis

KEY = "gpulockd:{leases}:canary"
DAYS = 24 * 3600 * 1000


async def test_what_one_puts_the_others_find(new_daemon: NewDaemon, server: Valkey) -> None:
    a, b = new_daemon("host-a").canary, new_daemon("host-b").canary
    assert await a.standing() is None
    put = await a.put("c1 running 10", 0, b"document", 60.0, endless=False)
    assert put.ours
    found = await b.standing()
    assert found is not None
    assert (found.document, found.revision, found.ours) == (b"document", put.revision, False)
    assert 55 < found.left <= 60
    with server.client() as client:
        assert 0 < client.pttl(KEY) <= 60_000


async def test_a_later_revision_is_not_overwritten(new_daemon: NewDaemon) -> None:
    a, b = new_daemon("host-a").canary, new_daemon("host-b").canary
    first = await a.put("c1 running 10", 0, b"one", 60.0, endless=True)
    second = await b.put("c1 running 50", first.revision, b"two", 60.0, endless=True)
    assert second.revision > first.revision
    refused = await a.put("c1 aborted 10", first.revision, b"three", 60.0, endless=False)
    assert (refused.ours, refused.document, refused.revision) == (False, b"two", second.revision)
    assert math.isinf(refused.left)


async def test_the_same_change_put_twice_is_one(new_daemon: NewDaemon) -> None:
    daemon = new_daemon().canary
    first = await daemon.put("c1 running 10", 0, b"one", 60.0, endless=True)
    again = await daemon.put("c1 running 10", 0, b"one, sent again", 60.0, endless=True)
    assert (again.ours, again.revision, again.document) == (True, first.revision, b"one")


async def test_a_revision_grows_though_the_server_has_forgotten(new_daemon: NewDaemon, server: Valkey) -> None:
    daemon = new_daemon().canary
    first = await daemon.put("c1 running 10", 0, b"one", 60.0, endless=False)
    with server.client() as client:
        client.flushall()
    await asyncio.sleep(0.002)  # the server counts milliseconds
    assert (await new_daemon().canary.put("c2 running 10", 0, b"two", 60.0, endless=False)).revision > first.revision


async def test_a_heartbeat_tells_of_it_and_keeps_one_without_an_end(new_daemon: NewDaemon, server: Valkey) -> None:
    daemon = new_daemon(ttl=60)
    heard: list[int] = []
    use: list[float] = []

    async def hear(revision: int) -> None:
        heard.append(revision)

    daemon.canary.watch(hear, use.append)
    epochs = (await daemon.claim(1, ["GPU-0"], floor=0)).epochs
    await daemon.renew(2, epochs, {})
    await eventually(lambda: heard == [0])
    put = await daemon.canary.put("c1 running 10", 0, b"one", 7 * 86400.0, endless=True)
    with server.client() as client:
        client.pexpire(KEY, 30_000)
        for attempt in range(3, 6):
            assert (await daemon.renew(attempt, epochs, {})).kept == {"GPU-0"}
            await eventually(lambda: daemon.canary._hearing is None or daemon.canary._hearing.done())
        assert 6 * DAYS < client.pttl(KEY) <= 7 * DAYS
        assert set(heard[1:]) == {put.revision}
        assert len(use) == 2
        assert all(0 <= share < 2 for share in use)
        await daemon.canary.put("c1 aborted 10", put.revision, b"two", 60.0, endless=False)
        await daemon.renew(6, epochs, {})
        assert client.pttl(KEY) <= 60_000


async def test_the_others_hear_of_it_at_once(new_daemon: NewDaemon) -> None:
    a, b = new_daemon("host-a"), new_daemon("host-b")
    heard: list[int] = []

    async def hear(revision: int) -> None:
        heard.append(revision)

    b.canary.watch(hear, lambda _: None)
    listening = asyncio.create_task(b.listen(lambda event: None))
    try:

        async def told() -> bool:
            standing = await a.canary.standing()
            based_on = standing.revision if standing else 0
            await a.canary.put(f"c1 running {based_on}", based_on, b"document", 60.0, endless=False)
            await asyncio.sleep(0.02)
            return bool(heard)

        for _ in range(500):
            if await told():
                break
        assert heard
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


async def test_something_else_under_its_name_fails_no_lease(new_daemon: NewDaemon, server: Valkey) -> None:
    daemon = new_daemon()
    epochs = (await daemon.claim(1, ["GPU-0"], floor=0)).epochs
    with server.client() as client:
        client.set(KEY, "not a hash", ex=60)
    assert (await daemon.renew(2, epochs, {})).kept == {"GPU-0"}
