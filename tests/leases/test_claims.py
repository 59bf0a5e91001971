"""Claims: who is granted, who is refused, and with which epoch."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest

from gpulockd.leases.redis import RedisLeases
from gpulockd.ports import Unavailable
from tests.support.valkey import Valkey
from tests.support.waiting import eventually

from .conftest import NewDaemon, identity
from .proxy import Proxy

pytestmark = pytest.mark.redis


def stored_epoch(server: Valkey, gpu: str) -> int:
    with server.client() as client:
        return int(client.hget(f"gpulockd:{{leases}}:epoch:{gpu}", "epoch") or 0)


async def test_first_claim_is_granted(new_daemon: NewDaemon) -> None:
    claimed = await new_daemon().claim(1, ["GPU-0", "GPU-1"], floor=0)
    assert claimed.epochs == {"GPU-0": 1, "GPU-1": 1}
    assert claimed.refused == {}


async def test_second_daemon_is_refused_with_host_and_pid_of_the_first(new_daemon: NewDaemon) -> None:
    await new_daemon("host-a", ttl=15).claim(1, ["GPU-0"], floor=0)
    claimed = await new_daemon("host-b").claim(1, ["GPU-0"], floor=0)
    assert claimed.epochs == {}
    holder = claimed.refused["GPU-0"]
    assert (holder.host, holder.pid) == ("host-a", os.getpid())
    assert 14 < holder.expires_in <= 15


async def test_what_is_free_is_granted_beside_what_is_not(new_daemon: NewDaemon) -> None:
    await new_daemon("host-a").claim(1, ["GPU-0"], floor=0)
    claimed = await new_daemon("host-b").claim(1, ["GPU-0", "GPU-1"], floor=0)
    assert claimed.epochs == {"GPU-1": 1}
    assert set(claimed.refused) == {"GPU-0"}


async def test_all_newly_claimed_gpus_get_one_epoch_above_every_counter_and_the_floor(
    new_daemon: NewDaemon,
) -> None:
    first = new_daemon("host-a")
    for attempt in range(1, 4):
        await first.claim(attempt, ["GPU-0"], floor=0)
    await first.release({"GPU-0": 3})
    second = new_daemon("host-b")
    assert (await second.claim(1, ["GPU-0", "GPU-1"], floor=0)).epochs == {"GPU-0": 4, "GPU-1": 4}
    assert (await second.claim(2, ["GPU-1", "GPU-2"], floor=70)).epochs == {"GPU-1": 71, "GPU-2": 71}


async def test_a_repeated_claim_is_the_same_claim(new_daemon: NewDaemon, server: Valkey) -> None:
    daemon = new_daemon()
    first = await daemon.claim(7, ["GPU-0"], floor=0)
    assert await daemon.claim(7, ["GPU-0"], floor=0) == first
    assert stored_epoch(server, "GPU-0") == 1


async def test_a_lost_answer_is_found_again(
    daemons: NewDaemon, new_daemon: NewDaemon, server: Valkey, tmp_path: Path
) -> None:
    await new_daemon().claim(1, ["GPU-9"], floor=0)  # The server knows the script from now on.
    async with Proxy(server.path, tmp_path / "proxy") as proxy:
        daemon = daemons(proxy.url, timeout=1.5)
        proxy.loses_replies = True
        with pytest.raises(Unavailable, match="gave no answer"):
            await daemon.claim(1, ["GPU-0"], floor=0)
        assert stored_epoch(server, "GPU-0") == 1, "the claim itself arrived"
        proxy.loses_replies = False
        assert (await daemon.claim(1, ["GPU-0"], floor=0)).epochs == {"GPU-0": 1}
        assert stored_epoch(server, "GPU-0") == 1
        await daemon.close()


async def test_a_lost_answer_is_found_again_after_the_lease_has_expired(new_daemon: NewDaemon, server: Valkey) -> None:
    daemon = new_daemon(ttl=0.2)
    await daemon.claim(1, ["GPU-0"], floor=0)
    await expired(server, "GPU-0")
    assert (await daemon.claim(1, ["GPU-0"], floor=0)).epochs == {"GPU-0": 1}
    assert stored_epoch(server, "GPU-0") == 1


async def test_a_claim_whose_answer_was_lost_is_a_new_one_after_another_had_the_gpu(
    new_daemon: NewDaemon, server: Valkey
) -> None:
    daemon, other = new_daemon("host-a", ttl=0.2), new_daemon("host-b")
    await daemon.claim(1, ["GPU-0"], floor=0)
    await expired(server, "GPU-0")
    assert (await other.claim(1, ["GPU-0"], floor=0)).epochs == {"GPU-0": 2}
    assert (await daemon.claim(1, ["GPU-0"], floor=0)).refused["GPU-0"].host == "host-b"
    await other.release({"GPU-0": 2})
    assert (await daemon.claim(1, ["GPU-0"], floor=0)).epochs == {"GPU-0": 3}


async def test_a_repeated_claim_gives_what_became_free_the_same_epoch(new_daemon: NewDaemon) -> None:
    daemon, other = new_daemon("host-a"), new_daemon("host-b")
    await other.claim(1, ["GPU-1"], floor=0)
    assert (await daemon.claim(1, ["GPU-0", "GPU-1"], floor=8)).epochs == {"GPU-0": 9}
    await other.release({"GPU-1": 1})
    assert (await daemon.claim(1, ["GPU-0", "GPU-1"], floor=8)).epochs == {"GPU-0": 9, "GPU-1": 9}


async def test_a_repeated_claim_gives_what_became_free_no_smaller_epoch_than_the_rest(
    new_daemon: NewDaemon,
) -> None:
    daemon, other = new_daemon("host-a"), new_daemon("host-b")
    await other.release((await other.claim(1, ["GPU-0"], floor=20)).epochs)
    await other.claim(2, ["GPU-1"], floor=0)
    assert (await daemon.claim(1, ["GPU-0", "GPU-1"], floor=0)).epochs == {"GPU-0": 22}
    await other.release({"GPU-1": 1})
    assert (await daemon.claim(1, ["GPU-0", "GPU-1"], floor=0)).epochs == {"GPU-0": 22, "GPU-1": 22}


async def test_a_repeated_claim_of_one_that_knows_more_by_now_exceeds_that(new_daemon: NewDaemon) -> None:
    daemon = new_daemon()
    assert (await daemon.claim(1, ["GPU-0"], floor=0)).epochs == {"GPU-0": 1}
    assert (await daemon.claim(1, ["GPU-0"], floor=5)).epochs == {"GPU-0": 6}


async def test_a_later_claim_of_the_holder_gets_a_larger_epoch(new_daemon: NewDaemon) -> None:
    daemon = new_daemon()
    assert (await daemon.claim(1, ["GPU-0"], floor=0)).epochs == {"GPU-0": 1}
    assert (await daemon.claim(2, ["GPU-0"], floor=0)).epochs == {"GPU-0": 2}


async def test_a_claim_that_was_stuck_on_the_way_does_not_undo_a_later_one(new_daemon: NewDaemon) -> None:
    daemon = new_daemon()
    await daemon.claim(2, ["GPU-0"], floor=0)
    stuck = await daemon.claim(1, ["GPU-0"], floor=0)
    assert (stuck.epochs, stuck.refused) == ({}, {})
    assert (await daemon.renew(3, {"GPU-0": 1}, {})).kept == {"GPU-0"}


async def test_a_claim_that_was_stuck_on_the_way_does_not_undo_a_release(new_daemon: NewDaemon) -> None:
    daemon = new_daemon("host-a")
    await daemon.claim(1, ["GPU-0"], floor=0)
    await daemon.release({"GPU-0": 1})
    stuck = await daemon.claim(1, ["GPU-0"], floor=0)
    assert (stuck.epochs, stuck.refused) == ({}, {})
    assert (await new_daemon("host-b").claim(1, ["GPU-0"], floor=0)).epochs == {"GPU-0": 2}


async def test_the_released_gpu_can_be_claimed_again(new_daemon: NewDaemon) -> None:
    daemon = new_daemon()
    await daemon.claim(1, ["GPU-0"], floor=0)
    await daemon.release({"GPU-0": 1})
    assert (await daemon.claim(2, ["GPU-0"], floor=0)).epochs == {"GPU-0": 2}


async def test_an_expired_lease_is_free_with_a_larger_epoch(new_daemon: NewDaemon, server: Valkey) -> None:
    await new_daemon("host-a", ttl=0.2).claim(1, ["GPU-0"], floor=0)
    await expired(server, "GPU-0")
    assert (await new_daemon("host-b").claim(1, ["GPU-0"], floor=0)).epochs == {"GPU-0": 2}


async def test_the_epoch_does_not_fall_when_redis_is_emptied(new_daemon: NewDaemon, server: Valkey) -> None:
    daemon = new_daemon()
    await daemon.claim(1, ["GPU-0"], floor=40)
    with server.client() as client:
        client.flushall()
    assert (await daemon.claim(2, ["GPU-0"], floor=41)).epochs == {"GPU-0": 42}


async def test_the_epoch_does_not_fall_below_a_held_lease_whose_counter_is_gone(
    new_daemon: NewDaemon, server: Valkey
) -> None:
    daemon = new_daemon()
    await daemon.claim(1, ["GPU-0"], floor=40)
    with server.client() as client:
        client.delete("gpulockd:{leases}:epoch:GPU-0")
    assert (await daemon.claim(2, ["GPU-0"], floor=0)).epochs == {"GPU-0": 42}


async def test_the_epoch_grows_through_restarts_of_the_daemon_without_a_journal(new_daemon: NewDaemon) -> None:
    for run in range(1, 5):
        daemon = new_daemon()
        assert (await daemon.claim(1, ["GPU-0"], floor=0)).epochs == {"GPU-0": run}
        await daemon.release({"GPU-0": run})


async def test_a_large_epoch_keeps_every_digit(new_daemon: NewDaemon) -> None:
    daemon = new_daemon()
    epochs = (await daemon.claim(1, ["GPU-0"], floor=2**32 - 2)).epochs
    assert epochs == {"GPU-0": 2**32 - 1}
    assert (await daemon.renew(2, epochs, {})).kept == {"GPU-0"}
    assert (await daemon.claim(1, ["GPU-0"], floor=2**32 - 2)).epochs == epochs


async def test_a_lease_that_somebody_made_to_last_is_refused_without_an_end(
    new_daemon: NewDaemon, server: Valkey
) -> None:
    await new_daemon("host-a").claim(1, ["GPU-0"], floor=0)
    key = "gpulockd:{leases}:lease:GPU-0"
    with server.client() as client:
        client.persist(key)
        claimed = await new_daemon("host-b").claim(1, ["GPU-0"], floor=0)
        assert claimed.refused["GPU-0"].expires_in == math.inf
        client.delete(key)


async def test_namespaces_do_not_meet(new_daemon: NewDaemon, server: Valkey) -> None:
    await new_daemon("host-a").claim(1, ["GPU-0"], floor=0)
    other = RedisLeases(server.url, "staging", 15, 5, identity("host-b"))
    assert (await other.claim(1, ["GPU-0"], floor=0)).epochs == {"GPU-0": 1}
    await other.close()


async def expired(server: Valkey, gpu: str) -> None:
    with server.client() as client:
        await eventually(lambda: not client.exists(f"gpulockd:{{leases}}:lease:{gpu}"), f"the lease of {gpu} expires")
