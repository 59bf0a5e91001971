"""Every way in which Redis can fail an operation: which error, how soon, and what it tells people to do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop

from gpulockd.leases.faults import _TALES
from gpulockd.leases.redis import RedisLeases
from gpulockd.leases.scripts import PERMISSIONS
from gpulockd.ports import LEASE_FAULTS, Unavailable
from tests.support.valkey import FLAVOURS, Valkey
from tests.support.waiting import PATIENCE, eventually

from .conftest import NewDaemon, identity
from .proxy import Proxy

pytestmark = pytest.mark.redis

SECRET = "s3cret/with:signs"
DEADLINE = 1.0
"""Of an operation that is to fail by it. No shorter: what comes before has it too."""
SOON = 4.0
"""An upper bound on what ends by a deadline of a second: shorter than if anything waited for a second or third one, and
for a busy machine."""
ESCAPED = "s3cret%2Fwith%3Asigns"


@pytest.fixture(params=FLAVOURS)
def own_server(request: pytest.FixtureRequest) -> Iterator[Valkey]:
    """A server to be spoilt."""
    with Valkey(request.param) as server:
        yield server


async def ends_are_seen() -> None:
    """Lets the loop notice what the kernel already knows of its connections, as it always does in a daemon."""
    for _ in range(5):
        await asyncio.sleep(0)


async def disconnect(client: Any, user: str) -> None:
    client.execute_command("CLIENT", "KILL", "USER", user)
    await eventually(lambda: f"user={user} " not in str(client.execute_command("CLIENT", "LIST")))
    await ends_are_seen()


async def told(operation: Awaitable[object]) -> str:
    with pytest.raises(Unavailable) as caught:
        await operation
    assert SECRET not in str(caught.value)
    assert ESCAPED not in str(caught.value)
    return str(caught.value)


OPERATIONS: dict[str, Callable[[RedisLeases], Awaitable[object]]] = {
    "claim": lambda leases: leases.claim(1, ["GPU-0"], 0),
    "renew": lambda leases: leases.renew(1, {"GPU-0": 1}, {}),
    "release": lambda leases: leases.release({"GPU-0": 1}),
    "fleet": lambda leases: leases.fleet(),
}


def test_every_fault_has_a_word_that_is_counted() -> None:
    """Metrics begin every counter at 0, so they have to know all words beforehand."""
    assert {kind.lower() for kind in _TALES} | {"evicting", "journal"} == set(LEASE_FAULTS)
    assert len(LEASE_FAULTS) == len(set(LEASE_FAULTS))


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_a_frozen_server_is_given_up_after_the_deadline_and_the_loop_goes_on(
    new_daemon: NewDaemon, server: Valkey, operation: str
) -> None:
    daemon = new_daemon(timeout=DEADLINE)
    await daemon.claim(1, ["GPU-0"], floor=0)
    with server.frozen():
        turns, started = 0, time.monotonic()
        task = asyncio.ensure_future(told(OPERATIONS[operation](daemon)))
        while not task.done():
            await asyncio.sleep(0.01)
            turns += 1
        assert "gave no answer within 1 s" in await task
        assert 0.9 * DEADLINE < time.monotonic() - started < SOON
        assert turns > 5, "the loop stood still"
    assert (await daemon.renew(2, {}, {})).lost == {}, "awake, it answers again"


async def test_a_frozen_server_is_given_up_while_connecting_too(new_daemon: NewDaemon, server: Valkey) -> None:
    with server.frozen():
        started = time.monotonic()
        assert "gave no answer" in await told(new_daemon(timeout=0.3).claim(1, ["GPU-0"], 0))
        assert time.monotonic() - started < SOON


async def test_a_frozen_server_does_not_keep_the_daemon_from_closing(new_daemon: NewDaemon, server: Valkey) -> None:
    daemon = new_daemon(timeout=PATIENCE)
    await daemon.claim(1, ["GPU-0"], floor=0)
    with server.frozen():
        stuck = asyncio.create_task(daemon.fleet())
        await asyncio.sleep(0)
        started = time.monotonic()
        await daemon.close()
        assert time.monotonic() - started < SOON
        with pytest.raises(Unavailable):
            await stuck


async def test_nothing_is_sent_twice_by_itself(
    daemons: NewDaemon, new_daemon: NewDaemon, server: Valkey, tmp_path: Path
) -> None:
    await new_daemon().claim(1, ["GPU-0"], floor=0)
    async with Proxy(server.path, tmp_path / "proxy") as proxy:
        daemon = daemons(proxy.url, timeout=DEADLINE)
        proxy.loses_replies = True
        before = server.info("commandstats")["cmdstat_evalsha"]["calls"]
        await told(daemon.renew(1, {}, {}))
        assert server.info("commandstats")["cmdstat_evalsha"]["calls"] == before + 1
        assert proxy.connections == 1
        await daemon.close()


async def test_a_connection_that_breaks_on_the_way_is_an_error_and_the_next_operation_connects_again(
    daemons: NewDaemon, server: Valkey, tmp_path: Path
) -> None:
    async with Proxy(server.path, tmp_path / "proxy") as proxy:
        daemon = daemons(proxy.url)
        await daemon.claim(1, ["GPU-0"], floor=0)
        before = server.info("commandstats")["cmdstat_evalsha"]["calls"]
        proxy.loses_replies = True
        task = asyncio.ensure_future(told(daemon.renew(2, {"GPU-0": 1}, {})))
        await eventually(
            lambda: server.info("commandstats")["cmdstat_evalsha"]["calls"] > before, "the renewal arrives"
        )
        proxy.cut()
        assert "cannot be reached" in await task
        proxy.loses_replies = False
        assert (await daemon.renew(3, {"GPU-0": 1}, {})).kept == {"GPU-0"}
        await daemon.close()


async def test_a_server_that_is_restarted_between_operations_is_not_even_an_error(
    daemons: NewDaemon, own_server: Valkey
) -> None:
    daemon = daemons(own_server)
    epochs = (await daemon.claim(1, ["GPU-0"], floor=0)).epochs
    own_server.kill()
    own_server.start()  # Empty, and without the scripts.
    await ends_are_seen()
    assert (await daemon.renew(2, epochs, {})).lost == {"GPU-0": None}
    assert (await daemon.claim(3, ["GPU-0"], floor=1)).epochs == {"GPU-0": 2}


async def test_scripts_that_the_server_has_forgotten_are_sent_again(new_daemon: NewDaemon, server: Valkey) -> None:
    daemon = new_daemon()
    for attempt in (1, 2):
        with server.client() as client:
            client.script_flush()
        epochs = (await daemon.claim(attempt, ["GPU-0"], floor=0)).epochs
        assert (await daemon.renew(attempt, epochs, {"host": "host-a"})).kept == {"GPU-0"}
        assert len(await daemon.fleet()) == 1
        await daemon.release(epochs)


def test_on_the_loop_of_the_daemon(own_server: Valkey) -> None:
    """Transports of uvloop fail in ways of their own."""

    async def scenario() -> None:
        daemon = RedisLeases(own_server.url, "gpulockd", 15, DEADLINE, identity())
        epochs = (await daemon.claim(1, ["GPU-0"], floor=0)).epochs
        with own_server.frozen():
            assert "gave no answer" in await told(daemon.renew(2, epochs, {}))
        assert (await daemon.renew(3, epochs, {})).kept == {"GPU-0"}
        own_server.kill()  # Unseen by the loop: the next operation still writes to the old connection.
        assert "cannot be reached" in await told(daemon.renew(4, epochs, {}))
        assert "refuses the connection" in await told(daemon.renew(5, epochs, {}))
        own_server.start()
        assert (await daemon.renew(6, epochs, {})).lost == {"GPU-0": None}
        own_server.kill()
        await ends_are_seen()
        assert "refuses the connection" in await told(daemon.renew(7, epochs, {}))
        own_server.start()
        await daemon.close()

    uvloop.run(scenario())


async def test_no_server_at_all(daemons: NewDaemon, tmp_path: Path) -> None:
    message = await told(daemons(f"unix://{tmp_path}/none.sock").claim(1, ["GPU-0"], 0))
    assert message.endswith("has no such socket; start it, or correct redis.url")
    assert f"unix://{tmp_path}/none.sock" in message


async def test_a_server_that_is_gone(daemons: NewDaemon) -> None:
    with Valkey() as server:
        server.kill()
        message = await told(daemons(server).claim(1, ["GPU-0"], 0))
        assert "refuses the connection: nothing listens there" in message


async def test_a_host_name_that_does_not_exist(daemons: NewDaemon) -> None:
    message = await told(daemons("redis://no-such-host.invalid:6379").claim(1, ["GPU-0"], 0))
    assert "has a host name that cannot be resolved" in message


async def test_wrong_and_missing_passwords(daemons: NewDaemon, own_server: Valkey) -> None:
    with own_server.client() as client:
        client.execute_command("ACL", "SETUSER", "gpu", "on", f">{SECRET}", "~*", "&*", "+@all")
        client.execute_command("ACL", "SETUSER", "default", "resetpass", f">{SECRET}")
        try:
            path = own_server.path
            for url in (f"unix://gpu:wrong@{path}", f"unix://:wrong@{path}", f"unix://nobody:{ESCAPED}@{path}"):
                assert "does not accept the user or password" in await told(daemons(url).claim(1, ["GPU-0"], 0))
            message = await told(daemons(f"unix://{path}").claim(1, ["GPU-0"], 0))
            assert "does not accept the user or password" in message
            for url in (f"unix://gpu:{ESCAPED}@{path}", f"unix://:{ESCAPED}@{path}"):
                assert (await daemons(url).claim(1, [url], 0)).epochs == {url: 1}
        finally:
            client.execute_command("AUTH", SECRET)
            client.execute_command("ACL", "SETUSER", "default", "nopass")


async def test_a_password_from_a_file_may_change_while_the_daemon_runs(
    daemons: NewDaemon, own_server: Valkey, tmp_path: Path
) -> None:
    secret = tmp_path / "password"
    secret.write_text("first\n")
    with own_server.client() as client:
        client.execute_command("ACL", "SETUSER", "gpu", "on", ">first", "~*", "&*", "+@all")
        daemon = daemons(f"unix://gpu@{own_server.path}", password_file=str(secret))
        await daemon.claim(1, ["GPU-0"], 0)
        client.execute_command("ACL", "SETUSER", "gpu", "resetpass", ">second")
        await disconnect(client, "gpu")
        assert "does not accept" in await told(daemon.renew(2, {"GPU-0": 1}, {}))
        secret.write_text("second\n")
        assert (await daemon.renew(3, {"GPU-0": 1}, {})).kept == {"GPU-0"}
        await disconnect(client, "gpu")
        secret.unlink()
        assert "redis.password_file cannot be read" in await told(daemon.renew(4, {"GPU-0": 1}, {}))
        secret.write_text("second")
        assert (await daemon.renew(5, {"GPU-0": 1}, {})).kept == {"GPU-0"}


async def test_a_user_with_exactly_what_is_needed(daemons: NewDaemon, own_server: Valkey) -> None:
    with own_server.client() as client:
        rules = ["on", ">word", "~gpulockd:*", *PERMISSIONS.split()]
        if own_server.flavour != "redis6":  # 6.0 knows no channels yet.
            rules.append("&gpulockd:*")
        client.execute_command("ACL", "SETUSER", "gpu", *rules)
    daemon = daemons(f"unix://gpu:word@{own_server.path}?db=1")
    epochs = (await daemon.claim(1, ["GPU-0"], 0)).epochs
    assert (await daemon.renew(2, epochs, {"host": "host-a"})).kept == {"GPU-0"}
    assert len(await daemon.fleet()) == 1
    await daemon.release(epochs)


@pytest.mark.parametrize("missing", ["evalsha", "set", "hmget"])
async def test_a_user_that_lacks_a_command(daemons: NewDaemon, own_server: Valkey, missing: str) -> None:
    with own_server.client() as client:
        client.execute_command("ACL", "SETUSER", "gpu", "on", ">word", "~*", "&*", "+@all", f"-{missing}")
        message = await told(daemons(f"unix://gpu:word@{own_server.path}").claim(1, ["GPU-0"], 0))
        assert "does not permit what a lease needs" in message
        assert "ACL SETUSER" in message
        assert client.exists("gpulockd:{leases}:lease:GPU-0") == 0


async def test_a_user_that_may_not_touch_the_keys(daemons: NewDaemon, own_server: Valkey) -> None:
    with own_server.client() as client:
        client.execute_command("ACL", "SETUSER", "gpu", "on", ">word", "~other:*", "&*", "+@all")
    message = await told(daemons(f"unix://gpu:word@{own_server.path}").claim(1, ["GPU-0"], 0))
    assert "does not permit what a lease needs" in message


async def test_a_user_that_may_not_publish_releases_all_the_same(
    daemons: NewDaemon, own_server: Valkey, caplog: pytest.LogCaptureFixture
) -> None:
    with own_server.client() as client:
        client.execute_command("ACL", "SETUSER", "gpu", "on", ">word", "~*", "+@all", "-publish")
        daemon = daemons(f"unix://gpu:word@{own_server.path}")
        await daemon.release((await daemon.claim(1, ["GPU-0"], 0)).epochs)
        assert client.exists("gpulockd:{leases}:lease:GPU-0") == 0
    assert "find them only by polling" in caplog.text


async def test_a_read_only_replica(daemons: NewDaemon, own_server: Valkey) -> None:
    with own_server.client() as client:
        client.execute_command("REPLICAOF", "127.0.0.1", "1")
    message = await told(daemons(own_server).claim(1, ["GPU-0"], 0))
    assert "is a read-only replica; let redis.url name the master" in message


async def test_a_replica_that_lost_its_master_and_serves_nothing(daemons: NewDaemon, own_server: Valkey) -> None:
    with own_server.client() as client:
        client.config_set("replica-serve-stale-data", "no")
        client.execute_command("REPLICAOF", "127.0.0.1", "1")
        message = await told(daemons(own_server).claim(1, ["GPU-0"], 0))
        assert "is a replica that has lost its master" in message
        client.execute_command("REPLICAOF", "NO", "ONE")


async def test_a_full_server_refuses_claims_and_still_renews(
    daemons: NewDaemon, own_server: Valkey, caplog: pytest.LogCaptureFixture
) -> None:
    daemon = daemons(own_server)
    epochs = (await daemon.claim(1, ["GPU-0"], 0)).epochs
    with own_server.client() as client:
        client.config_set("maxmemory", "1")
        assert "is out of memory (maxmemory); raise maxmemory" in await told(daemon.claim(2, ["GPU-1"], 0))
        client.pexpire("gpulockd:{leases}:lease:GPU-0", 9000)
        assert (await daemon.renew(3, epochs, {"host": "host-a"})).kept == {"GPU-0"}
        assert client.pttl("gpulockd:{leases}:lease:GPU-0") > 9000
    for attempt in (4, 5):  # Where there is nothing to extend, the snapshot is what the server has no room for.
        assert (await daemon.renew(attempt, {}, {"host": "host-a"})).lost == {}
    assert caplog.text.count("the fleet does not hear of this host") == 1


async def test_a_server_that_cannot_save(daemons: NewDaemon, own_server: Valkey) -> None:
    with own_server.client() as client:
        client.config_set("save", "1 1")
        (own_server.directory / "dump.rdb").mkdir()
        client.bgsave()
        await eventually(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err")
    message = await told(daemons(own_server).claim(1, ["GPU-0"], 0))
    assert "refuses to write because it could not save to disk" in message


async def test_a_server_with_too_few_replicas(daemons: NewDaemon, own_server: Valkey) -> None:
    if own_server.flavour == "redis6":
        pytest.skip("Redis 6 does not count replicas for what a script writes")
    with own_server.client() as client:
        client.config_set("min-replicas-to-write", "1")
    assert "too few replicas follow it" in await told(daemons(own_server).claim(1, ["GPU-0"], 0))


async def test_somebody_elses_keys(daemons: NewDaemon, own_server: Valkey) -> None:
    with own_server.client() as client:
        client.lpush("gpulockd:{leases}:lease:GPU-0", "something")
        client.expire("gpulockd:{leases}:lease:GPU-0", 60)
        message = await told(daemons(own_server).claim(1, ["GPU-0"], 0))
        assert "has other data under the keys of the leases; choose another redis.namespace" in message


async def test_a_lease_that_no_daemon_wrote(daemons: NewDaemon, own_server: Valkey) -> None:
    with own_server.client() as client:
        client.set("gpulockd:{leases}:lease:GPU-0", '{"instance": "x", "epoch": 1}', px=60_000)
        message = await told(daemons(own_server).claim(1, ["GPU-0"], 0))
        assert "a lease that no gpulockd wrote" in message


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
async def test_an_eviction_policy_is_refused_with_the_reason_until_it_is_changed(
    daemons: NewDaemon, own_server: Valkey, policy: str
) -> None:
    daemon = daemons(own_server)
    with own_server.client() as client:
        client.config_set("maxmemory-policy", policy)
        message = await told(daemon.claim(1, ["GPU-0"], 0))
        assert f"its maxmemory-policy is {policy}; CONFIG SET maxmemory-policy noeviction" in message
        assert client.dbsize() == 0
        client.config_set("maxmemory-policy", "noeviction")
    assert (await daemon.claim(2, ["GPU-0"], 0)).epochs == {"GPU-0": 1}


async def test_a_policy_that_may_not_be_asked_is_a_warning(
    daemons: NewDaemon, own_server: Valkey, caplog: pytest.LogCaptureFixture
) -> None:
    with own_server.client() as client:
        client.execute_command("ACL", "SETUSER", "gpu", "on", ">word", "~*", "&*", "+@all", "-info")
    daemon = daemons(f"unix://gpu:word@{own_server.path}")
    for attempt in (1, 2):
        assert (await daemon.claim(attempt, ["GPU-0"], 0)).epochs == {"GPU-0": attempt}
    assert caplog.text.count("whether Redis may evict leases is unknown") == 1
