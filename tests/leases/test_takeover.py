"""A daemon that was killed and started again does not wait for the end of its own leases. Anybody else does."""

from __future__ import annotations

import dataclasses
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from gpulockd.leases.scripts import Keys, Scripts
from tests.support import processes
from tests.support.valkey import Valkey
from tests.support.waiting import eventually

from .conftest import NewDaemon, identity

pytestmark = pytest.mark.redis

CLAIMING = """
import asyncio, sys
from gpulockd.leases.identity import Identity
from gpulockd.leases.redis import RedisLeases

async def main():
    leases = RedisLeases(sys.argv[1], "gpulockd", float(sys.argv[2]), 5, Identity.of_this_process("host-a"))
    claimed = await leases.claim(1, ["GPU-0", "GPU-1"], 0)
    print(*claimed.epochs.values(), flush=True)
    sys.stdin.read()

asyncio.run(main())
"""

StartOwner = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start_owner(server: Valkey) -> Iterator[StartOwner]:
    """Starts a process that claims two GPUs and lives until it is ended."""
    started: list[subprocess.Popen[str]] = []

    def start(ttl: float = 60.0) -> subprocess.Popen[str]:
        process = processes.start(
            [sys.executable, "-c", CLAIMING, server.url, str(ttl)], stdin=subprocess.PIPE, stderr=None
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "1 1\n"
        return process

    yield start
    for process in started:
        processes.end(process)


async def test_leases_of_a_killed_daemon_are_taken_over_at_once(new_daemon: NewDaemon, start_owner: StartOwner) -> None:
    owner = start_owner()
    owner.kill()
    owner.wait()
    claimed = await new_daemon().claim(1, ["GPU-0", "GPU-1", "GPU-2"], floor=0)
    assert claimed.refused == {}
    assert claimed.epochs == {"GPU-2": 1, "GPU-0": 2, "GPU-1": 2}


async def test_leases_of_a_frozen_daemon_are_not(new_daemon: NewDaemon, start_owner: StartOwner) -> None:
    owner = start_owner()
    owner.send_signal(signal.SIGSTOP)
    claimed = await new_daemon().claim(1, ["GPU-0"], floor=0)
    assert claimed.refused["GPU-0"].pid == owner.pid
    assert claimed.refused["GPU-0"].expires_in > 50


@pytest.mark.parametrize("elsewhere", ["another boot", "another PID namespace"])
async def test_leases_of_a_dead_daemon_elsewhere_are_waited_out(
    new_daemon: NewDaemon, start_owner: StartOwner, server: Valkey, elsewhere: str
) -> None:
    owner = start_owner(ttl=0.5)
    owner.kill()
    owner.wait()
    me = identity()
    if elsewhere == "another boot":
        process = dataclasses.replace(me.process, boot_id="00000000-0000-0000-0000-000000000000")
        me = dataclasses.replace(me, process=process)
    else:
        me = dataclasses.replace(me, pid_namespace=1)
    daemon = new_daemon(who=me)
    claimed = await daemon.claim(1, ["GPU-0"], floor=0)
    if claimed.refused:  # A slow machine may have waited it out by now.
        assert claimed.refused["GPU-0"].pid == owner.pid
        with server.client() as client:
            await eventually(lambda: not client.exists("gpulockd:{leases}:lease:GPU-0"), "it expires")
        claimed = await daemon.claim(2, ["GPU-0"], floor=0)
    assert claimed.epochs == {"GPU-0": 2}


async def test_only_the_very_lease_that_was_seen_is_replaced(
    new_daemon: NewDaemon, start_owner: StartOwner, server: Valkey
) -> None:
    """Two successors find the same dead holder: the second must not replace the first."""
    owner = start_owner()
    owner.kill()
    owner.wait()
    late = identity("host-late")
    daemon = new_daemon("host-late", who=late)
    scripts = Scripts(daemon._client, Keys("gpulockd"), 15, 60)
    seen = (await scripts.claim(late, 1, ["GPU-0"], 0, instead_of={})).refused
    assert seen["GPU-0"].holder.process.pid == owner.pid

    assert (await new_daemon("host-first").claim(1, ["GPU-0"], floor=0)).epochs == {"GPU-0": 2}
    reply = await scripts.claim(late, 1, ["GPU-0"], 0, instead_of=seen)
    assert reply.granted == {}
    assert reply.refused["GPU-0"].holder.host == "host-first"


async def test_an_earlier_lease_of_the_same_run_is_not_the_lease_that_was_seen(
    new_daemon: NewDaemon,
) -> None:
    holder, late = new_daemon("host-a"), identity("host-late")
    scripts = Scripts(new_daemon("host-late", who=late)._client, Keys("gpulockd"), 15, 60)
    await holder.claim(1, ["GPU-0"], floor=0)
    seen = (await scripts.claim(late, 1, ["GPU-0"], 0, instead_of={})).refused
    await holder.claim(2, ["GPU-0"], floor=0)
    reply = await scripts.claim(late, 1, ["GPU-0"], 0, instead_of=seen)
    assert reply.granted == {}
    assert reply.refused["GPU-0"].epoch == 2


async def test_what_a_dead_daemon_still_had_on_the_way_changes_nothing(
    new_daemon: NewDaemon, start_owner: StartOwner
) -> None:
    owner = start_owner()
    owner.kill()
    owner.wait()
    daemon = new_daemon()
    epochs = (await daemon.claim(1, ["GPU-0"], floor=0)).epochs
    ghost = new_daemon(who=identity("host-a", instance="the dead one's"))
    assert (await ghost.renew(2, {"GPU-0": 1}, {})).kept == frozenset()
    await ghost.release({"GPU-0": 1})
    assert (await daemon.renew(2, epochs, {})).kept == {"GPU-0"}
