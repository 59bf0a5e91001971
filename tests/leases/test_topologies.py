"""The ways to a server: TLS, a cluster, and sentinels with a fail-over."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from gpulockd.core.events import Event, LeaseFreed
from gpulockd.leases.redis import RedisLeases
from gpulockd.leases.scripts import PERMISSIONS
from gpulockd.ports import Renewed, Unavailable
from tests.support.ports import free_port
from tests.support.valkey import FLAVOURS, Flavour, Sentinel, Valkey
from tests.support.waiting import eventually, wait_until

from .conftest import NewDaemon
from .proxy import Proxy

pytestmark = pytest.mark.redis

SLOTS = 16384


async def a_day_in_the_life(daemons: NewDaemon, url: str) -> None:
    """Every operation once, by two daemons."""
    first, second = daemons(url, "host-a"), daemons(url, "host-b")
    heard: list[Event] = []
    listening = asyncio.create_task(second.listen(heard.append))
    try:
        epochs = (await first.claim(1, ["GPU-0", "GPU-1"], floor=0)).epochs
        assert epochs == {"GPU-0": 1, "GPU-1": 1}
        assert (await second.claim(1, ["GPU-0"], floor=0)).refused["GPU-0"].host == "host-a"
        assert (await first.renew(2, epochs, {"host": "host-a"})).kept == {"GPU-0", "GPU-1"}
        assert [host["host"] for host in await second.fleet()] == ["host-a"]
        attempt = 2
        while not heard:  # The subscription may not stand yet.
            attempt += 1
            await first.release(epochs)
            epochs = (await first.claim(attempt, ["GPU-0", "GPU-1"], floor=0)).epochs
            await asyncio.sleep(0.01)
        assert heard[0] == LeaseFreed(frozenset({"GPU-0", "GPU-1"}))
        await first.release(epochs)
        [epoch] = (await second.claim(2, ["GPU-0"], floor=0)).epochs.values()
        assert epoch == epochs["GPU-0"] + 1
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


@pytest.mark.parametrize("flavour", FLAVOURS)
async def test_tcp_and_a_database(daemons: NewDaemon, flavour: Flavour) -> None:
    with Valkey(flavour, port=free_port()) as server:
        await a_day_in_the_life(daemons, f"redis://127.0.0.1:{server.port}/5")
        with server.client(db=5) as client:
            assert client.dbsize() > 0
            assert server.info("keyspace").keys() == {"db5"}


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A key and its own certificate for 127.0.0.1."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl command here to make a certificate with")
    both = tmp_path / "both.pem"
    key = tmp_path / "key.pem"
    request = f"req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=gpulockd -keyout {key} -out {both}".split()
    subprocess.run([openssl, *request, "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    with both.open("a") as file:
        file.write(key.read_text())
    return both


@pytest.fixture
async def encrypted(server: Valkey, certificate: Path, tmp_path: Path) -> AsyncIterator[Proxy]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    async with Proxy(server.path, tmp_path / "proxy", context) as proxy:
        yield proxy


@pytest.mark.parametrize("family", ["valkey"], indirect=True)
async def test_tls(daemons: NewDaemon, encrypted: Proxy, certificate: Path) -> None:
    url = f"rediss://127.0.0.1:{encrypted.port}"
    await a_day_in_the_life(daemons, f"{url}?ssl_ca_certs={certificate}")
    with pytest.raises(Unavailable, match=r"could not agree on TLS \(.*self-signed certificate"):
        await daemons(url).claim(9, ["GPU-0"], floor=0)
    unchecked = daemons(f"{url}?ssl_cert_reqs=none&ssl_check_hostname=false", "host-b")
    assert len(await unchecked.fleet()) == 1
    await unchecked.close()


@pytest.fixture(scope="module", params=FLAVOURS)
def cluster_of_one(request: pytest.FixtureRequest) -> Iterator[Valkey]:
    """A cluster of one node, which serves every slot. Use `cluster_node`, which is empty."""
    settings = {"cluster-enabled": "yes"}
    with Valkey(request.param, port=free_port(), settings=settings) as server, server.client() as client:
        for start in range(0, SLOTS, 4096):
            client.execute_command("CLUSTER", "ADDSLOTS", *range(start, start + 4096))
        wait_until(lambda: cluster_is("ok", client))
        yield server


@pytest.fixture
def cluster_node(cluster_of_one: Valkey) -> Valkey:
    with cluster_of_one.client() as client:
        client.flushall()
    return cluster_of_one


def cluster_is(state: str, client: Any) -> bool:
    return f"cluster_state:{state}".encode() in client.execute_command("CLUSTER", "INFO")


async def test_cluster(daemons: NewDaemon, cluster_node: Valkey) -> None:
    await a_day_in_the_life(daemons, f"redis+cluster://127.0.0.1:{cluster_node.port}")


async def test_a_cluster_and_a_user_with_exactly_what_is_needed(daemons: NewDaemon, cluster_node: Valkey) -> None:
    rules = ["on", ">word", "~gpulockd:*", *PERMISSIONS.split(), "+cluster", "+command"]
    with cluster_node.client() as client:
        client.execute_command("ACL", "SETUSER", "gpu", "reset", "allchannels", *rules)
    await a_day_in_the_life(daemons, f"redis+cluster://gpu:word@127.0.0.1:{cluster_node.port}")


async def test_a_cluster_whose_first_node_is_gone(daemons: NewDaemon, cluster_node: Valkey) -> None:
    url = f"redis+cluster://127.0.0.1:{free_port()},127.0.0.1:{cluster_node.port}"
    assert (await daemons(url).claim(1, ["GPU-0"], floor=0)).epochs == {"GPU-0": 1}


async def test_a_cluster_that_does_not_serve_the_slot(daemons: NewDaemon, cluster_node: Valkey) -> None:
    daemon = daemons(f"redis+cluster://127.0.0.1:{cluster_node.port}", timeout=1.0)
    epochs = (await daemon.claim(1, ["GPU-0"], floor=0)).epochs
    with cluster_node.client() as client:
        slot = client.execute_command("CLUSTER", "KEYSLOT", "gpulockd:{leases}:lease:GPU-0")
        client.execute_command("CLUSTER", "DELSLOTS", slot)
        wait_until(lambda: cluster_is("fail", client))
        with pytest.raises(Unavailable, match="is a cluster that does not serve the leases' slot"):
            await daemon.renew(2, epochs, {})
        client.execute_command("CLUSTER", "ADDSLOTS", slot)
        wait_until(lambda: cluster_is("ok", client))
    assert set((await daemon.claim(3, ["GPU-0"], floor=0)).epochs) == {"GPU-0"}


async def test_a_frozen_cluster(daemons: NewDaemon, cluster_node: Valkey) -> None:
    daemon = daemons(f"redis+cluster://127.0.0.1:{cluster_node.port}", timeout=1.0)
    epochs = (await daemon.claim(1, ["GPU-0"], floor=0)).epochs
    with cluster_node.frozen():
        for attempt in (2, 3):
            started = time.monotonic()
            with pytest.raises(Unavailable):
                await daemon.renew(attempt, epochs, {})
            assert time.monotonic() - started < 4
    assert (await daemon.renew(4, epochs, {})).kept == {"GPU-0"}


async def renewed_at_last(daemon: RedisLeases, epochs: Mapping[str, int], sentinel: Valkey) -> Renewed:
    """Tries again until it works, as the core does."""
    fault, deadline = "", time.monotonic() + 45
    while time.monotonic() < deadline:
        try:
            return await daemon.renew(3, epochs, {})
        except Unavailable as error:
            fault = str(error)
            await asyncio.sleep(0.05)
    pytest.fail(f"{fault}; the sentinel's log:\n{sentinel.log.read_text()}")


@pytest.mark.parametrize("flavour", FLAVOURS)
async def test_sentinels_and_a_fail_over(daemons: NewDaemon, flavour: Flavour) -> None:
    with (
        Valkey(flavour, port=free_port(), settings={"repl-diskless-sync-delay": "0"}) as master,
        Valkey(flavour, port=free_port(), settings={"replicaof": f"127.0.0.1 {master.port}"}) as replica,
        Sentinel(flavour, free_port(), "main", master.port) as sentinel,
        sentinel.client() as watching,
    ):
        url = f"redis+sentinel://127.0.0.1:{free_port()},127.0.0.1:{sentinel.port}/main"
        await a_day_in_the_life(daemons, url)
        with replica.client() as client:
            await eventually(lambda: client.exists("gpulockd:{leases}:lease:GPU-0"), "the replica follows")
        await eventually(lambda: watching.sentinel_slaves("main"), "the sentinel knows of the replica")

        daemon = daemons(url, "host-c")
        epochs = (await daemon.claim(1, ["GPU-7"], floor=0)).epochs
        with replica.client() as client:
            await eventually(lambda: client.exists("gpulockd:{leases}:lease:GPU-7"), "the replica follows")
        master.kill()
        with pytest.raises(Unavailable):
            await daemon.renew(2, epochs, {})
        renewed = await renewed_at_last(daemon, epochs, sentinel)
        assert renewed.kept == {"GPU-7"}, "the lease went with the fail-over"


async def test_sentinels_that_know_no_such_master(daemons: NewDaemon) -> None:
    with (
        Valkey(port=free_port()) as master,
        Sentinel("valkey", free_port(), "main", master.port) as sentinel,
    ):
        daemon = daemons(f"redis+sentinel://127.0.0.1:{sentinel.port}/other")
        with pytest.raises(Unavailable, match="has no master that a sentinel knows, or no sentinel answers"):
            await daemon.claim(1, ["GPU-0"], floor=0)


async def test_a_frozen_sentinel_leaves_time_for_the_next_to_whoever_asks_meanwhile(
    daemons: NewDaemon,
) -> None:
    with (
        Valkey(port=free_port()) as master,
        Sentinel("valkey", free_port(), "main", master.port) as frozen,
        Sentinel("valkey", free_port(), "main", master.port) as sentinel,
        frozen.frozen(),
    ):
        daemon = daemons(f"redis+sentinel://127.0.0.1:{frozen.port},127.0.0.1:{sentinel.port}/main", timeout=1.0)
        assert (await daemon.claim(1, ["GPU-0"], floor=0)).epochs == {"GPU-0": 1}
