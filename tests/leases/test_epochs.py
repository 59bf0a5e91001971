"""Whatever happens, a GPU has one holder at a time, and each has a larger epoch than the last."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Mapping
from typing import Any

import pytest

from gpulockd.leases.redis import RedisLeases
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
    unanswered: tuple[int, list[str], int, list[str]] | None = None
    """A claim whose answer it never saw."""


class World:
    """Random daemons on one server, watched by someone who sees everything."""

    def __init__(self, server: Valkey, new_daemon: NewDaemon, seed: int) -> None:
        self.server = server
        self.random = random.Random(seed)
        self.new_daemon = new_daemon
        self.daemons = [Daemon(name, self.run_of(name)) for name in ("host-a", "host-b")]
        self.highest = dict.fromkeys(GPUS, 0)
        """Of the epochs in which tokens were given out for each GPU."""
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
        await self.ask(daemon, self.wish(daemon, daemon.attempt))

    async def lose_answer(self, daemon: Daemon) -> None:
        daemon.attempt += 1
        daemon.unanswered = self.wish(daemon, daemon.attempt)
        await daemon.leases.claim(*daemon.unanswered)

    async def repeat(self, daemon: Daemon) -> None:
        if daemon.unanswered:
            wish, daemon.unanswered = daemon.unanswered, None
            await self.ask(daemon, wish)

    async def stale(self, daemon: Daemon) -> None:
        """An earlier claim arrives late. Nobody waits for its answer."""
        if daemon.attempt > 1:
            _, gpus, _, held = self.wish(daemon, 0)
            await daemon.leases.claim(self.random.randrange(1, daemon.attempt), gpus, 0, held)

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

    def wish(self, daemon: Daemon, attempt: int) -> tuple[int, list[str], int, list[str]]:
        gpus = self.random.sample(GPUS, self.random.randint(1, len(GPUS)))
        return attempt, gpus, daemon.journal, [gpu for gpu in daemon.epochs if gpu not in gpus]

    async def ask(self, daemon: Daemon, wish: tuple[int, list[str], int, list[str]]) -> None:
        floor = wish[2]
        claimed = await daemon.leases.claim(*wish)
        for gpu, epoch in claimed.epochs.items():
            assert epoch > floor
            assert epoch > self.highest[gpu], "each holder has a larger epoch than the last"
            self.highest[gpu] = epoch
            daemon.journal = max(daemon.journal, epoch)
        daemon.epochs |= claimed.epochs
        for gpu, epoch in daemon.epochs.items():
            if await self.holder(gpu) == (daemon.name, epoch):
                # The host makes the tokens of all that it has from its highest epoch.
                self.highest[gpu] = max(self.highest[gpu], *daemon.epochs.values())

    async def holder(self, gpu: str) -> tuple[str, int] | None:
        leases = self.daemons[0].leases._scripts
        lost: Mapping[str, Any] = (await leases.renew(identity("onlooker", instance="nobody"), {gpu: 0}, b"\x80")).lost
        return (lost[gpu].holder.host, lost[gpu].epoch) if lost[gpu] else None


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


async def test_who_has_a_gpu_next_begins_above_all_tokens_of_the_host_that_had_it(new_daemon: NewDaemon) -> None:
    """GPU-1 has had many epochs elsewhere. Who adds it to GPU-0 gives out tokens of that height for both."""
    elsewhere, host, next_host = new_daemon("host-b"), new_daemon("host-a"), new_daemon("host-c")
    for attempt in range(1, 6):
        await elsewhere.claim(attempt, ["GPU-1"], floor=0)
    assert (await host.claim(1, ["GPU-0", "GPU-1"], floor=0)).epochs == {"GPU-0": 1}
    await elsewhere.release({"GPU-1": 5})
    assert (await host.claim(2, ["GPU-1"], floor=1, held=["GPU-0"])).epochs == {"GPU-1": 6}
    assert (await host.renew(3, {"GPU-0": 1, "GPU-1": 6}, {})).kept == {"GPU-0", "GPU-1"}, "the lease is the same one"
    await host.release({"GPU-0": 1, "GPU-1": 6})
    assert (await next_host.claim(1, ["GPU-0"], floor=0)).epochs == {"GPU-0": 7}


async def test_a_repeated_claim_that_is_granted_more_raises_what_it_was_granted_before(new_daemon: NewDaemon) -> None:
    elsewhere, host, next_host = new_daemon("host-b"), new_daemon("host-a"), new_daemon("host-c")
    for attempt in range(1, 6):
        await elsewhere.claim(attempt, ["GPU-1"], floor=0)
    await host.claim(1, ["GPU-0", "GPU-1"], floor=0)  # its answer is lost
    await elsewhere.release({"GPU-1": 5})
    assert (await host.claim(1, ["GPU-0", "GPU-1"], floor=0)).epochs == {"GPU-0": 1, "GPU-1": 6}
    await host.release({"GPU-0": 1})
    assert (await next_host.claim(1, ["GPU-0"], floor=0)).epochs == {"GPU-0": 7}
