"""The model of the store, held to the Lua scripts on a real server: the same operations get the same answers."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterator

import pytest

from gpulockd.core.model import Process
from gpulockd.leases.client import Client, open_client
from gpulockd.leases.identity import Identity
from gpulockd.leases.scripts import Keys, Lease as RealLease, Scripts
from gpulockd.leases.url import parse
from tests.support.valkey import Valkey

from .store import Lease, Store

pytestmark = pytest.mark.redis

TTL = 3600.0
"""Seconds: none ends by itself while the two are compared. Ends are made, by deleting a lease in both."""
GPUS = ("GPU-0", "GPU-1", "GPU-2")
DAEMONS = tuple(Identity(f"host-{name}", Process(pid, 1, "boot"), 1, name) for pid, name in enumerate("abc", 10))
SEEDS, OPERATIONS = 12, 120


@pytest.fixture(scope="module")
def server() -> Iterator[Valkey]:
    with Valkey() as server:
        yield server


@pytest.fixture
async def client(server: Valkey) -> AsyncIterator[Client]:
    with server.client() as flushing:
        flushing.flushall()
    client = open_client(parse(server.url), "", 5.0)
    yield client
    await client.aclose()


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_the_model_answers_as_the_scripts_do(seed: int, server: Valkey, client: Client) -> None:
    chance = random.Random(seed)
    keys = Keys("gpulockd")
    scripts, store = Scripts(client, keys, TTL, TTL), Store(TTL)
    attempts = dict.fromkeys(DAEMONS, 0)
    floors = dict.fromkeys(DAEMONS, 0)
    holding: dict[Identity, dict[str, int]] = {daemon: {} for daemon in DAEMONS}
    seen: dict[str, RealLease] = {}
    for number in range(OPERATIONS):
        daemon = chance.choice(DAEMONS)
        mine = holding[daemon]
        operation = chance.choice(("claim", "claim", "claim", "renew", "release", "lease ends", "forget"))
        match operation:
            case "claim":
                attempts[daemon] += chance.choice((0, 0, 1, 1, 1, -1))
                attempt, floor = attempts[daemon], floors[daemon] + chance.choice((0, 0, 0, 5))
                gpus = [gpu for gpu in GPUS if chance.random() < 0.6]
                held = [gpu for gpu in mine if gpu not in gpus]
                dead = {gpu: seen[gpu] for gpu in gpus if gpu in seen and chance.random() < 0.4}
                real = await scripts.claim(daemon, attempt, gpus, floor, held=held, instead_of=dead)
                modelled = {gpu: _modelled(lease) for gpu, lease in dead.items()}
                us = daemon.instance, daemon.host, daemon.process.pid
                granted, refused = store.claim(0.0, *us, attempt, gpus, floor, held, modelled)
                assert granted == dict(real.granted), f"operation {number}"
                assert {gpu: lease for gpu, (lease, _) in refused.items()} == {
                    gpu: _modelled(lease) for gpu, lease in real.refused.items()
                }, f"operation {number}"
                mine.update(granted)
                floors[daemon] = max([floors[daemon], *granted.values()])
                seen.update(real.refused)
            case "renew":
                renewed = await scripts.renew(daemon, mine, b"")
                lost = store.renew(0.0, daemon.instance, mine)
                assert {gpu: theirs and theirs[0] for gpu, theirs in lost.items()} == {
                    gpu: theirs and _modelled(theirs) for gpu, theirs in renewed.lost.items()
                }, f"operation {number}"
                for gpu in lost:
                    del mine[gpu]
            case "release" if mine:
                going = {gpu: epoch for gpu, epoch in mine.items() if chance.random() < 0.7}
                await scripts.release(daemon, going)
                store.release(0.0, daemon.instance, going)
                for gpu in going:
                    del mine[gpu]
            case "lease ends":
                gpu = chance.choice(GPUS)
                with server.client() as direct:
                    direct.delete(keys.lease(gpu))
                store.leases.pop(gpu, None)
            case "forget" if chance.random() < 0.2:
                with server.client() as direct:
                    direct.flushdb()
                store.forget()
        _same_epochs(server, keys, store, number)


def _modelled(lease: RealLease) -> Lease:
    holder = lease.holder
    return Lease(holder.instance, holder.host, holder.process.pid, lease.epoch, TTL)


def _same_epochs(server: Valkey, keys: Keys, store: Store, number: int) -> None:
    """What the next claim will go by."""
    with server.client() as direct:
        real = {gpu: int(direct.hget(keys.counter(gpu), "epoch") or 0) for gpu in GPUS}
    modelled = {gpu: store.counters[gpu].epoch if gpu in store.counters else 0 for gpu in GPUS}
    assert modelled == real, f"operation {number}"
