"""What is said to systemd's descriptor store, by a fake PID 1 that really receives the descriptors."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from gpulockd.fdstore import PAUSE, SystemdStore
from tests.support.pid_one import PidOne
from tests.support.waiting import eventually

MANY = 100 + int(Path("/proc/sys/net/unix/max_dgram_qlen").read_text())
"""Messages: more than PID 1's queue holds."""


@pytest.fixture
async def manager(tmp_path: Path) -> AsyncIterator[PidOne]:
    with PidOne(tmp_path, limit=MANY) as manager:
        yield manager


@pytest.fixture
async def store(manager: PidOne) -> AsyncIterator[SystemdStore]:
    store = SystemdStore.offered(manager.address, {"FDSTORE": str(manager.limit)})
    assert store is not None
    yield store
    store.close()


@pytest.mark.parametrize(
    ("address", "environ", "limit"),
    [
        ("/run/systemd/notify", {"FDSTORE": "12"}, 12),
        ("/run/systemd/notify", {"GPULOCKD_FDSTORE": "13"}, 13),
        ("/run/systemd/notify", {"FDSTORE": "12", "GPULOCKD_FDSTORE": "13"}, 12),
        ("/run/systemd/notify", {"FDSTORE": "0"}, None),
        ("/run/systemd/notify", {"FDSTORE": "many"}, None),
        ("/run/systemd/notify", {}, None),
        (None, {"FDSTORE": "12"}, None),
    ],
)
async def test_it_is_there_where_systemd_says_so(
    address: str | None, environ: dict[str, str], limit: int | None
) -> None:
    store = SystemdStore.offered(address, environ)
    assert (store and store.limit) == limit
    if store is not None:
        store.close()


async def test_a_descriptor_outlives_its_owner(manager: PidOne, store: SystemdStore) -> None:
    ours, theirs = socket.socketpair()
    sent = asyncio.Event()
    store.keep("client-1.0", theirs.fileno(), sent.set)
    await sent.wait()
    theirs.close()
    await eventually(lambda: manager.names == ["client-1.0"])
    assert {"FDSTORE": "1", "FDPOLL": "0", "FDNAME": "client-1.0"} in manager.messages
    ours.setblocking(False)
    with pytest.raises(BlockingIOError):
        ours.recv(1)  # nobody hung up

    store.drop("client-1.0")
    await eventually(lambda: manager.names == [])
    assert ours.recv(1) == b"", "that was the last descriptor of it"
    ours.close()


async def test_what_ends_soon_is_not_stored(manager: PidOne, store: SystemdStore) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        store.keep("short", theirs.fileno(), lambda: pytest.fail("it was dropped"))
        store.drop("short")
        await asyncio.sleep(2 * PAUSE)
        await store.settle()
    assert [message for message in manager.messages if "FDNAME" in message] == []


async def test_what_somebody_relies_on_is_stored_at_once(manager: PidOne, store: SystemdStore) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        store.keep("client-1.0", theirs.fileno(), lambda: None)
        store.hasten()
        store.hasten()
        assert [name for name, _ in manager.passed()] == ["client-1.0"]


async def test_what_is_replaced_is_dropped_first(manager: PidOne, store: SystemdStore) -> None:
    (old, _), (new, _) = pairs = [socket.socketpair() for _ in range(2)]
    store.keep("roll", old.fileno(), lambda: None)
    await eventually(lambda: manager.names == ["roll"])
    store.drop("roll")
    store.keep("roll", new.fileno(), lambda: None)
    await store.settle()
    assert [set(message) & {"FDSTORE", "FDSTOREREMOVE"} for message in manager.messages] == [
        {"FDSTORE"},
        {"FDSTOREREMOVE"},
        {"FDSTORE"},
        set(),
    ]
    assert manager.names == ["roll"]
    for pair in pairs:
        for end in pair:
            end.close()


async def test_a_manager_that_does_not_read_stops_nobody(manager: PidOne, store: SystemdStore) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        manager.stall()
        sent: list[int] = []
        for number in range(MANY):
            store.keep(f"client-{number}.{number}", theirs.fileno(), partial(sent.append, number))
        await asyncio.sleep(2 * PAUSE)  # the loop runs
        assert len(sent) < MANY
        manager.go_on()
        await eventually(lambda: len(manager.names) == MANY)
        assert sent == list(range(MANY)), "in order"


async def test_settling_waits_until_everything_was_read(manager: PidOne, store: SystemdStore) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for number in range(50):
            store.keep(f"client-{number}.{number}", theirs.fileno(), lambda: None)
        manager.stall()
        settled = asyncio.get_running_loop().create_task(store.settle())
        await asyncio.sleep(PAUSE)
        assert not settled.done()
        manager.go_on()
        await settled
        assert len(manager.names) == 50
        assert manager.messages[-1] == {"BARRIER": "1"}


async def test_a_manager_that_is_away_for_a_moment_is_asked_again(tmp_path: Path) -> None:
    store = SystemdStore(str(tmp_path / "notify"), 10)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        store.keep("client-1.0", theirs.fileno(), lambda: None)
        await asyncio.sleep(2 * PAUSE)
        with PidOne(tmp_path) as manager:
            await eventually(lambda: manager.names == ["client-1.0"])
        store.close()


async def test_a_descriptor_that_is_closed_already_holds_nobody_up(manager: PidOne, store: SystemdStore) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        closed = os.dup(theirs.fileno())
        os.close(closed)
        store.keep("closed", closed, lambda: pytest.fail("there was nothing to send"))
        store.keep("client-1.0", theirs.fileno(), lambda: None)
        await eventually(lambda: manager.names == ["client-1.0"])
