"""Renewals: what is kept, what is lost and to whom, and what the fleet hears."""

from __future__ import annotations

import os

import pytest

from tests.support.valkey import Valkey

from .conftest import NewDaemon

pytestmark = pytest.mark.redis


async def test_renewal_extends_the_lease(new_daemon: NewDaemon, server: Valkey) -> None:
    daemon = new_daemon(ttl=60)
    epochs = (await daemon.claim(1, ["GPU-0", "GPU-1"], floor=0)).epochs
    with server.client() as client:
        client.pexpire("gpulockd:{leases}:lease:GPU-0", 20_000)
        renewed = await daemon.renew(2, epochs, {})
        assert renewed.kept == {"GPU-0", "GPU-1"}
        assert renewed.lost == {}
        assert client.pttl("gpulockd:{leases}:lease:GPU-0") > 50_000


async def test_a_lease_that_vanished_is_lost_to_nobody(new_daemon: NewDaemon, server: Valkey) -> None:
    daemon = new_daemon()
    epochs = (await daemon.claim(1, ["GPU-0"], floor=0)).epochs
    with server.client() as client:
        client.flushall()
    renewed = await daemon.renew(2, epochs, {})
    assert renewed.kept == frozenset()
    assert renewed.lost == {"GPU-0": None}


async def test_a_lease_that_another_has_is_lost_to_it(new_daemon: NewDaemon, server: Valkey) -> None:
    daemon, other = new_daemon("host-a"), new_daemon("host-b")
    epochs = (await daemon.claim(1, ["GPU-0", "GPU-1"], floor=0)).epochs
    with server.client() as client:
        client.delete("gpulockd:{leases}:lease:GPU-0")
    await other.claim(1, ["GPU-0"], floor=0)
    renewed = await daemon.renew(2, epochs, {})
    assert renewed.kept == {"GPU-1"}
    holder = renewed.lost["GPU-0"]
    assert holder is not None
    assert (holder.host, holder.pid) == ("host-b", os.getpid())
    assert (await other.renew(2, {"GPU-0": 2}, {})).kept == {"GPU-0"}, "nothing was taken from the other"


async def test_anothers_lease_is_not_renewed_with_the_right_epoch_either(new_daemon: NewDaemon, server: Valkey) -> None:
    await new_daemon("host-a").claim(1, ["GPU-0"], floor=0)
    with server.client() as client:
        client.pexpire("gpulockd:{leases}:lease:GPU-0", 5000)
        holder = (await new_daemon("host-b").renew(1, {"GPU-0": 1}, {})).lost["GPU-0"]
        assert holder is not None
        assert holder.host == "host-a"
        assert client.pttl("gpulockd:{leases}:lease:GPU-0") <= 5000


async def test_an_older_epoch_is_not_renewed(new_daemon: NewDaemon) -> None:
    daemon = new_daemon()
    await daemon.claim(1, ["GPU-0"], floor=0)
    await daemon.claim(2, ["GPU-0"], floor=0)
    assert set((await daemon.renew(3, {"GPU-0": 1}, {})).lost) == {"GPU-0"}
    assert (await daemon.renew(4, {"GPU-0": 2}, {})).kept == {"GPU-0"}


async def test_one_renewal_is_one_command_for_any_number_of_gpus(new_daemon: NewDaemon, server: Valkey) -> None:
    daemon = new_daemon()
    epochs = (await daemon.claim(1, [f"GPU-{n}" for n in range(16)], floor=0)).epochs
    await daemon.renew(2, epochs, {})  # Connected, and the script is known.
    before = calls(server, "evalsha")
    for attempt in range(3, 8):
        assert len((await daemon.renew(attempt, epochs, {})).kept) == 16
    assert calls(server, "evalsha") - before == 5


async def test_the_fleet_lists_every_host_with_its_age(new_daemon: NewDaemon, server: Valkey) -> None:
    first, second = new_daemon("host-a"), new_daemon("host-b")
    await first.renew(1, {}, {"host": "host-a", "gpus": [{"index": 0, "holder": None}], "waiting": 3})
    await second.renew(1, {}, {"host": "host-b", "gpus": []})
    fleet = {str(host["host"]): host for host in await second.fleet()}
    assert set(fleet) == {"host-a", "host-b"}
    assert fleet["host-a"]["gpus"] == [{"index": 0, "holder": None}]
    assert fleet["host-a"]["waiting"] == 3
    assert all(0 <= age_of(host) < 5 for host in fleet.values())
    while age_of({host["host"]: host for host in await first.fleet()}["host-a"]) <= age_of(fleet["host-a"]):
        pass


async def test_a_silent_host_leaves_the_fleet_and_the_index(new_daemon: NewDaemon, server: Valkey) -> None:
    quick, steady = new_daemon("host-quick", ttl=0.4), new_daemon("host-steady", ttl=0.4)
    await quick.renew(1, {}, {"host": "host-quick"})

    async def hosts() -> set[object]:
        await steady.renew(1, {}, {"host": "host-steady"})
        return {host["host"] for host in await steady.fleet()}

    assert await hosts() == {"host-quick", "host-steady"}
    while await hosts() != {"host-steady"}:
        pass
    await hosts()  # What is no longer listed, the next renewal removes.
    with server.client() as client:
        assert client.hkeys("gpulockd:{leases}:fleet:snapshots") == [b"host-steady"]
        assert client.zrange("gpulockd:{leases}:fleet:heard", 0, -1) == [b"host-steady"]


async def test_a_host_heard_of_in_the_future_leaves_the_index(new_daemon: NewDaemon, server: Valkey) -> None:
    daemon = new_daemon("host-a")
    await daemon.renew(1, {}, {"host": "host-a"})
    with server.client() as client:
        client.zadd("gpulockd:{leases}:fleet:heard", {"host-late": 9e15})
        client.hset("gpulockd:{leases}:fleet:snapshots", "host-late", b"\x80")
    assert len(await daemon.fleet()) == 2
    await daemon.renew(2, {}, {"host": "host-a"})
    assert [host["host"] for host in await daemon.fleet()] == ["host-a"]


async def test_a_snapshot_that_cannot_be_read_hides_no_other_host(
    new_daemon: NewDaemon, server: Valkey, caplog: pytest.LogCaptureFixture
) -> None:
    daemon = new_daemon("host-a")
    await daemon.renew(1, {}, {"host": "host-a"})
    with server.client() as client:
        client.hset("gpulockd:{leases}:fleet:snapshots", "host-b", b"\xc1 nothing")
        client.zadd("gpulockd:{leases}:fleet:heard", {"host-b": client.time()[0] * 1000})
    assert [host["host"] for host in await daemon.fleet()] == ["host-a"]
    assert "host-b says of itself cannot be read" in caplog.text


def age_of(host: object) -> float:
    assert isinstance(host, dict)
    age: float = host["age"]
    return age


def calls(server: Valkey, command: str) -> int:
    count: int = server.info("commandstats")[f"cmdstat_{command}"]["calls"]
    return count
