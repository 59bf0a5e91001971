"""Whatever happens, a GPU has one holder at a time, and each has a larger epoch than the last."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Mapping
from typing import Any

import pytest

from gpulockd.leases.redis import RedisLeases
from gpulockd.ports import Claimed
from tests.support.valkey import Valkey

from .conftest import NewDaemon, identity

pytestmark = pytest.mark.redis

GPUS = ["GPU-0", "GPU-1", "GPU-2"]


@dataclasses.dataclass
class Daemon:
    """What a daemon knows: its journal outlives its runs, and is all that outlives an emptied server."""

    name: str
    leases: RedisLeases
    journal: int = 0
    attempt: int = 0
    epochs: dict[str, int] = dataclasses.field(default_factory=dict)
    unanswered: tuple[int, list[str], int] | None = None
    """A claim whose answer it never saw."""


class World:
    """Random daemons on one server, watched by someone who sees everything."""

    def __init__(self, server: Valkey, new_daemon: NewDaemon, seed: int) -> None:
        self.server = server
        self.random = random.Random(seed)
        self.new_daemon = new_daemon
        self.daemons = [Daemon(name, self.run_of(name)) for name in ("host-a", "host-b")]
        self.highest = dict.fromkeys(GPUS, 0)
        self.told: list[str] = []

    def run_of(self, name: str) -> RedisLeases:
        leases: RedisLeases = self.new_daemon(name, who=identity(name))
        return leases

    async def step(self) -> None:
        daemon = self.random.choice(self.daemons)
        likely = [self.claim, self.lose_answer, self.repeat, self.stale, self.renew, self.release, self.expire]
        action = self.random.choice([*likely, *likely, *likely, self.restart, self.flush])
        self.told.append(f"{daemon.name} {action.__name__}")
        await action(daemon)

    async def claim(self, daemon: Daemon) -> None:
        daemon.attempt += 1
        daemon.unanswered = None
        await self.ask(daemon, daemon.attempt, self.some_gpus())

    async def lose_answer(self, daemon: Daemon) -> None:
        daemon.attempt += 1
        gpus, floor = self.some_gpus(), daemon.journal
        daemon.unanswered = (daemon.attempt, gpus, floor)
        await daemon.leases.claim(daemon.attempt, gpus, floor)

    async def repeat(self, daemon: Daemon) -> None:
        if daemon.unanswered:
            attempt, gpus, floor = daemon.unanswered
            daemon.unanswered = None
            self.learn(daemon, await daemon.leases.claim(attempt, gpus, floor), floor)

    async def stale(self, daemon: Daemon) -> None:
        """An earlier claim arrives late. Nobody waits for its answer."""
        if daemon.attempt > 1:
            await daemon.leases.claim(self.random.randrange(1, daemon.attempt), self.some_gpus(), 0)

    async def renew(self, daemon: Daemon) -> None:
        renewed = await daemon.leases.renew(daemon.attempt, daemon.epochs, {})
        assert renewed.kept | renewed.lost.keys() == daemon.epochs.keys()
        for gpu in renewed.kept:
            holder = await self.holder(gpu)
            assert holder == (daemon.name, daemon.epochs[gpu]), "what was kept is its own"
        daemon.epochs = {gpu: epoch for gpu, epoch in daemon.epochs.items() if gpu in renewed.kept}

    async def release(self, daemon: Daemon) -> None:
        await daemon.leases.release(daemon.epochs)
        daemon.epochs = {}

    async def restart(self, daemon: Daemon) -> None:
        daemon.leases = self.run_of(daemon.name)
        daemon.epochs, daemon.attempt, daemon.unanswered = {}, 0, None

    async def expire(self, _: Daemon) -> None:
        with self.server.client() as client:
            client.delete(f"gpulockd:{{leases}}:lease:{self.random.choice(GPUS)}")

    async def flush(self, _: Daemon) -> None:
        """The server forgets. Only what each daemon has in its journal is promised to count from here."""
        with self.server.client() as client:
            client.flushall()
        for daemon in self.daemons:
            daemon.unanswered = None
        shared = max(daemon.journal for daemon in self.daemons)
        for daemon in self.daemons:
            daemon.journal = shared

    async def ask(self, daemon: Daemon, attempt: int, gpus: list[str]) -> None:
        floor = daemon.journal
        self.learn(daemon, await daemon.leases.claim(attempt, gpus, floor), floor)

    def learn(self, daemon: Daemon, claimed: Claimed, floor: int) -> None:
        for gpu, epoch in claimed.epochs.items():
            assert epoch > floor
            assert epoch > self.highest[gpu], "each holder has a larger epoch than the last"
            self.highest[gpu] = epoch
            daemon.journal = max(daemon.journal, epoch)
        daemon.epochs |= claimed.epochs

    async def holder(self, gpu: str) -> tuple[str, int] | None:
        leases = self.daemons[0].leases._scripts
        lost: Mapping[str, Any] = (await leases.renew(identity("onlooker", instance="nobody"), {gpu: 0}, b"\x80")).lost
        return (lost[gpu].holder.host, lost[gpu].epoch) if lost[gpu] else None

    def some_gpus(self) -> list[str]:
        return self.random.sample(GPUS, self.random.randint(1, len(GPUS)))


@pytest.mark.parametrize("seed", range(8))
async def test_epochs_never_fall(new_daemon: NewDaemon, server: Valkey, seed: int) -> None:
    world = World(server, new_daemon, seed)
    try:
        for _ in range(150):
            await world.step()
    except AssertionError as error:
        error.add_note(f"seed {seed}:\n  " + "\n  ".join(world.told))
        raise
    assert max(world.highest.values()) > 10
