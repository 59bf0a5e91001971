"""How every GPU is, now and then, and whenever somebody wants to know."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import anyio

from ..core.events import GpusSampled
from ..core.model import Sample, State
from ..ports import Clock, Inventory, Post, Processes


class Sampler:
    """Posts `GpusSampled`. One look at a time: who asks during one waits for its end."""

    def __init__(
        self, inventory: Inventory, processes: Processes, clock: Clock, post: Post, state: Callable[[], State]
    ) -> None:
        self._inventory = inventory
        self._processes = processes
        self._clock = clock
        self._post = post
        self._state = state
        self._looked_at = -float("inf")
        self._looking = anyio.Lock()
        self._interval = math.inf
        self._changed = anyio.Event()

    async def run(self, interval: float) -> None:
        """Looks every `interval` seconds, or as often as `every` says later, until it is cancelled."""
        self.every(interval)
        while True:
            self._changed = anyio.Event()
            await self.look()
            with anyio.move_on_after(self._interval):
                await self._changed.wait()

    def every(self, interval: float) -> None:
        """Looks now, and then every `interval` seconds."""
        self._interval = interval
        self._changed.set()

    async def look(self, max_age: float = 0.0) -> None:
        """Looks, unless the last look is not older than `max_age` seconds."""
        async with self._looking:
            now = self._clock.now()
            if now - self._looked_at < max_age:
                return
            holders = self._holders()
            samples = await self._inventory.sample()
            self._looked_at = now
            named = {uuid: self._named(uuid, sample) for uuid, sample in samples.items()}
            self._post(GpusSampled(named, now, holders))

    def _holders(self) -> dict[str, int]:
        locks = self._state().locks
        return {uuid: lock.owner.process.pid for lock in locks.values() for uuid in lock.gpus}

    def _named(self, uuid: str, sample: Sample) -> Sample:
        """The sample with its processes' names, and which of them belong to the GPU's holder."""
        if not sample.processes:
            return sample
        processes = self._processes.annotate(sample.processes)
        state = self._state()
        gpu = state.gpus.get(uuid)
        lock = state.locks.get(gpu.lock) if gpu is not None and gpu.lock is not None else None
        kin = self._processes.kin(lock.owner, processes) if lock is not None else ()
        return replace(sample, processes=processes, kin=frozenset(process.pid for process in kin or ()))
