"""Ports that are timed do what the ports below them do, and tell how long it took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from gpulockd.core.actions import DrainSet, Record
from gpulockd.core.model import GpuIdentity, GpuProcess, LeaseHolder, Sample
from gpulockd.inventory.simulated import SimulatedInventory
from gpulockd.monitor import CountedInventory, TimedJournal, TimedLeases
from gpulockd.ports import Claimed, Inventory, Journal, Leases, Post, Renewed, Saved, Unavailable
from tests.support.clock import SetClock

DRAIN = DrainSet("GPU-0", "repair", "root")


class SlowJournal:
    """Notes what it is asked, and takes a second for a commit."""

    def __init__(self, clock: SetClock) -> None:
        self.clock = clock
        self.asked: list[object] = []
        self.fails = False

    def load(self) -> Saved:
        self.asked.append("load")
        return Saved(highest_token=7)

    def commit(self, records: Sequence[Record]) -> None:
        self.clock.uptime += 1
        self.asked.append(records)
        if self.fails:
            raise Unavailable("disk full")

    def raise_epoch(self, epoch: int) -> None:
        self.asked.append(epoch)

    def close(self) -> None:
        self.asked.append("close")


def test_commits_are_timed_and_all_else_is_passed_on() -> None:
    clock, seen = SetClock(), list[float]()
    below = SlowJournal(clock)
    journal: Journal = TimedJournal(below, clock, seen.append)
    journal.commit([DRAIN])
    assert journal.load().highest_token == 7
    journal.raise_epoch(3)
    journal.close()
    assert below.asked == [[DRAIN], "load", 3, "close"]
    assert seen == [1.0]


def test_a_commit_that_fails_is_timed_too() -> None:
    clock, seen = SetClock(), list[float]()
    below = SlowJournal(clock)
    below.fails = True
    with pytest.raises(Unavailable, match="disk full"):
        TimedJournal(below, clock, seen.append).commit([DRAIN])
    assert seen == [1.0]


class SlowLeases:
    """Takes a second for each operation; another host has `elsewhere`."""

    kind, ttl = "redis", 15.0

    def __init__(self, clock: SetClock) -> None:
        self.clock = clock
        self.elsewhere: dict[str, LeaseHolder] = {}
        self.asked: list[object] = []
        self.fails = False

    def _take_time(self, *asked: object) -> None:
        self.clock.uptime += 1
        self.asked.append(asked)
        if self.fails:
            raise Unavailable("no answer", "timeout")

    async def claim(self, attempt: int, gpus: Sequence[str], floor: int, held: Sequence[str] = ()) -> Claimed:
        self._take_time("claim", attempt, gpus, floor, held)
        return Claimed({}, self.elsewhere)

    async def renew(self, attempt: int, epochs: Mapping[str, int], snapshot: Mapping[str, object]) -> Renewed:
        self._take_time("renew", attempt, epochs, snapshot)
        return Renewed(frozenset(epochs), {})

    async def release(self, epochs: Mapping[str, int]) -> None:
        self._take_time("release", epochs)

    async def fleet(self) -> list[Mapping[str, object]]:
        self._take_time("fleet")
        return [{"host": "athena"}]

    async def listen(self, post: Post) -> None:
        self.asked.append("listen")

    async def close(self) -> None:
        self.asked.append("close")


async def test_operations_on_leases_are_timed_by_their_name() -> None:
    clock, seen, polls = SetClock(), list[tuple[str, float]](), list[None]()
    below = SlowLeases(clock)
    leases: Leases = TimedLeases(below, clock, lambda *each: seen.append(each), lambda: polls.append(None))
    assert (leases.kind, leases.ttl) == ("redis", 15.0)
    await leases.claim(1, ["GPU-0"], 2, ["GPU-1"])
    assert polls == []
    below.elsewhere = {"GPU-0": LeaseHolder("athena", 7)}
    assert (await leases.claim(2, ["GPU-0"], 2)).refused == below.elsewhere
    assert polls == [None]
    assert (await leases.renew(3, {"GPU-1": 4}, {"host": "ares"})).kept == {"GPU-1"}
    await leases.release({"GPU-1": 4})
    assert await leases.fleet() == [{"host": "athena"}]
    await leases.listen(lambda _: None)
    await leases.close()
    assert below.asked == [
        ("claim", 1, ["GPU-0"], 2, ["GPU-1"]),
        ("claim", 2, ["GPU-0"], 2, ()),
        ("renew", 3, {"GPU-1": 4}, {"host": "ares"}),
        ("release", {"GPU-1": 4}),
        ("fleet",),
        "listen",
        "close",
    ]
    assert seen == [(name, 1.0) for name in ("claim", "claim", "renew", "release", "fleet")]


async def test_a_redis_that_does_not_answer_was_waited_for() -> None:
    clock, seen = SetClock(), list[tuple[str, float]]()
    below = SlowLeases(clock)
    below.fails = True
    leases = TimedLeases(below, clock, lambda *each: seen.append(each), lambda: None)
    with pytest.raises(Unavailable) as caught:
        await leases.renew(1, {}, {})
    assert caught.value.reason == "timeout"
    assert seen == [("renew", 1.0)]


class SickInventory(SimulatedInventory):
    """Of three GPUs, one is sick and one does not answer for its processes."""

    driver = ""

    async def discover(self) -> tuple[GpuIdentity, ...]:
        self.driver = "NVIDIA 560"
        return await super().discover()

    async def sample(self) -> Mapping[str, Sample]:
        samples = await super().sample()
        sick = next(iter(samples))
        return {**samples, sick: Sample(fault="Xid 79")}

    async def processes(self, gpu: str) -> tuple[GpuProcess, ...]:
        raise Unavailable("no answer")


async def test_looks_at_gpus_that_fail_are_counted() -> None:
    failures = list[int]()
    below = SickInventory(3, "athena")
    inventory: Inventory = CountedInventory(below, failures.append)
    found = await inventory.discover()
    assert (len(found), inventory.driver, inventory.simulated) == (3, "NVIDIA 560", True)
    samples: Any = await inventory.sample()
    assert [sample.fault for sample in samples.values()] == ["Xid 79", None, None]
    with pytest.raises(Unavailable):
        await inventory.processes(found[0].uuid)
    assert failures == [1, 1]
    await inventory.close()
