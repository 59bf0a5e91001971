"""Redis moves under a daemon: a fail-over that sentinels decide on, a slot that goes to another node of a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import Daemon
from tests.support.frames import Frames
from tests.support.ports import free_port
from tests.support.valkey import Sentinel, Valkey
from tests.support.waiting import wait_until

from .site import wait_until_renewed

pytestmark = [pytest.mark.system, pytest.mark.redis, pytest.mark.slow]

TTL = 10
FAIL_OVER = 45.0
"""Seconds: a sentinel that was itself held up decides nothing for the next thirty."""
LEASES = "gpulockd:{leases}:*"
SLOTS = 16384


@contextmanager
def holding(directory: Path, url: str) -> Iterator[tuple[Daemon, Frames, int]]:
    """A daemon whose leases are at `url`, a client that holds one of two GPUs, and its token."""
    settings: dict[str, object] = {"redis.url": url, "redis.ttl": TTL, "redis.operation_timeout": 0.5}
    with Daemon(directory, simulate=2, settings=settings) as daemon, Frames(daemon.socket) as holder:
        yield daemon, holder, holder.call("acquire", gpus=["0"], notify=["lost"])["token"]


def next_token(daemon: Daemon) -> int:
    with Frames(daemon.socket) as client:
        token: int = client.call("acquire", gpus=["1"], wait_timeout=30)["token"]
        return token


def failures(daemon: Daemon) -> int:
    return sum(daemon.status()["lease"]["failures"].values())


@contextmanager
def sentinels() -> Iterator[tuple[Valkey, Valkey, str]]:
    """A master, its replica, and the URL at which a sentinel tells which is which."""
    with (
        Valkey(port=free_port(), settings={"repl-diskless-sync-delay": "0"}) as master,
        Valkey(port=free_port(), settings={"replicaof": f"127.0.0.1 {master.port}"}) as replica,
        Sentinel("valkey", free_port(), "main", master.port) as sentinel,
        sentinel.client() as watching,
    ):
        wait_until(lambda: watching.sentinel_slaves("main"), "the sentinel knows of the replica")
        yield master, replica, f"redis+sentinel://127.0.0.1:{sentinel.port}/main"


@pytest.mark.parametrize("stale", [False, True], ids=["to a replica that has all", "to a replica that lost the leases"])
def test_a_fail_over(tmp_path: Path, stale: bool) -> None:
    with sentinels() as (master, replica, url), holding(tmp_path, url) as (daemon, holder, token):
        copy: Any = replica.client()
        with copy:
            wait_until(lambda: len(copy.keys(LEASES)) >= 2, "the replica follows")
            if stale:
                copy.config_set("replica-read-only", "no")
                copy.delete(*copy.keys(LEASES))
            master.kill()
            wait_until(
                lambda: copy.info("replication")["role"] == "master", "the sentinel has decided", within=FAIL_OVER
            )
        wait_until_renewed(daemon, within=FAIL_OVER)
        wait_until(lambda: ("lease.lost" in daemon.output()) == stale, "a lost lease is noticed")
        holder.call("beat")
        assert not holder.notifications
        granted = next_token(daemon)
        assert granted > token
        assert (granted >> 32 > token >> 32) == stale, "epochs grow where the leases were claimed anew"
        assert daemon.status()["lease"]["failures"].keys() <= {"network", "nomaster", "readonly", "refused", "timeout"}


@contextmanager
def cluster() -> Iterator[tuple[Valkey, Valkey]]:
    """Two nodes, of which the first serves every slot."""
    settings = {"cluster-enabled": "yes"}
    with Valkey(port=free_port(), settings=settings) as first, Valkey(port=free_port(), settings=settings) as second:
        ours, theirs = ask(first), ask(second)
        for start in range(0, SLOTS, 4096):
            ours("CLUSTER", "ADDSLOTS", *range(start, start + 4096))
        ours("CLUSTER", "MEET", "127.0.0.1", second.port)
        wait_until(lambda: all(b"cluster_state:ok" in node("CLUSTER", "INFO") for node in (ours, theirs)))
        wait_until(lambda: len(theirs("CLUSTER", "SHARDS")) == 2, "both know of both")
        yield first, second


def ask(node: Valkey) -> Any:
    """A function that sends it one command."""

    def send(*command: object) -> Any:
        client: Any = node.client()
        with client:
            return client.execute_command(*command)

    return send


def test_a_slot_that_moves(tmp_path: Path) -> None:
    with (
        cluster() as (first, second),
        holding(tmp_path, f"redis+cluster://127.0.0.1:{first.port}") as (daemon, holder, token),
    ):
        old, new = ask(first), ask(second)
        slot = old("CLUSTER", "KEYSLOT", "gpulockd:{leases}:lease:x")
        new("CLUSTER", "SETSLOT", slot, "IMPORTING", old("CLUSTER", "MYID"))
        old("CLUSTER", "SETSLOT", slot, "MIGRATING", new("CLUSTER", "MYID"))
        keys = old("CLUSTER", "GETKEYSINSLOT", slot, 100)
        assert any(b":lease:" in key for key in keys)
        half = len(keys) // 2
        old("MIGRATE", "127.0.0.1", second.port, "", 0, 5000, "KEYS", *keys[:half])
        wait_until(lambda: failures(daemon), "with the keys on two nodes no script can see all of them")
        old("MIGRATE", "127.0.0.1", second.port, "", 0, 5000, "KEYS", *keys[half:])
        for node in (new, old):
            node("CLUSTER", "SETSLOT", slot, "NODE", new("CLUSTER", "MYID"))
        wait_until_renewed(daemon, within=FAIL_OVER)
        assert new("CLUSTER", "COUNTKEYSINSLOT", slot) >= len(keys)
        holder.call("beat")
        assert not holder.notifications
        assert "lease.lost" not in daemon.output(), "the leases moved, too"
        assert next_token(daemon) == token + 1
