"""Ports that tell how long they took and how they fared, and change nothing else about it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence

from ..core.actions import Record
from ..core.model import GpuIdentity, GpuProcess, Sample
from ..ports import Claimed, Clock, Inventory, Journal, Leases, Post, Renewed, Saved, Unavailable


class TimedJournal:
    """A journal whose commits are timed: `observe` is given the seconds of each, also of one that failed."""

    def __init__(self, journal: Journal, clock: Clock, observe: Callable[[float], None]) -> None:
        self._commit = journal.commit
        self._now = clock.now
        self._observe = observe
        self.load: Callable[[], Saved] = journal.load
        self.raise_epoch: Callable[[int], None] = journal.raise_epoch
        self.close: Callable[[], None] = journal.close

    def commit(self, records: Sequence[Record]) -> None:
        began = self._now()
        try:
            self._commit(records)
        finally:
            self._observe(self._now() - began)


class TimedLeases:
    """Leases of a store that is waited for: `observe` is given each operation and its seconds, `refused` is called when
    a claim found that another host has what it asked for."""

    def __init__(
        self, leases: Leases, clock: Clock, observe: Callable[[str, float], None], refused: Callable[[], None]
    ) -> None:
        self._leases = leases
        self._clock = clock
        self._observe = observe
        self._refused = refused
        self.ttl = leases.ttl
        self.kind = leases.kind

    async def claim(self, attempt: int, gpus: Sequence[str], floor: int, held: Sequence[str] = ()) -> Claimed:
        with self._timed("claim"):
            claimed = await self._leases.claim(attempt, gpus, floor, held)
        if claimed.refused:
            self._refused()
        return claimed

    async def renew(self, attempt: int, epochs: Mapping[str, int], snapshot: Mapping[str, object]) -> Renewed:
        with self._timed("renew"):
            return await self._leases.renew(attempt, epochs, snapshot)

    async def release(self, epochs: Mapping[str, int]) -> None:
        with self._timed("release"):
            await self._leases.release(epochs)

    async def fleet(self) -> list[Mapping[str, object]]:
        with self._timed("fleet"):
            return await self._leases.fleet()

    async def listen(self, post: Post) -> None:
        await self._leases.listen(post)

    async def close(self) -> None:
        await self._leases.close()

    @contextlib.contextmanager
    def _timed(self, operation: str) -> Iterator[None]:
        began = self._clock.now()
        try:
            yield
        finally:
            self._observe(operation, self._clock.now() - began)


class CountedInventory:
    """GPUs of which `failed` is told how many looks at one were not answered well."""

    def __init__(self, inventory: Inventory, failed: Callable[[int], None]) -> None:
        self._inventory = inventory
        self._failed = failed
        self.simulated = inventory.simulated
        self.driver = inventory.driver

    async def discover(self) -> tuple[GpuIdentity, ...]:
        found = await self._inventory.discover()
        self.driver = self._inventory.driver
        return found

    async def sample(self) -> Mapping[str, Sample]:
        samples = await self._inventory.sample()
        self._failed(sum(sample.fault is not None for sample in samples.values()))
        return samples

    async def processes(self, gpu: str) -> tuple[GpuProcess, ...] | None:
        try:
            return await self._inventory.processes(gpu)
        except Unavailable:
            self._failed(1)
            raise

    async def close(self) -> None:
        await self._inventory.close()
