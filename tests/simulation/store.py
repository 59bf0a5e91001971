"""The lease store as a model: what `gpulockd/leases/lua/*.lua` do, in Python.

It stands in for Redis where a million operations have to be cheap. `test_store.py` holds it to the real scripts on a
real server: the same operations get the same answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

Refused = Mapping[str, tuple["Lease", float]]


@dataclass(frozen=True, slots=True)
class Lease:
    """Who has a GPU, and until when."""

    instance: str
    host: str
    pid: int
    epoch: int
    ends_at: float


@dataclass(slots=True)
class Counter:
    """The epochs of a GPU, and to whom the last one was given."""

    epoch: int = 0
    granted: int = 0
    instance: str = ""
    attempt: int = -1
    unreleased: bool = False


@dataclass(slots=True)
class Store:
    """All methods are one script each: nothing comes between. Times are the store's own, in seconds."""

    ttl: float
    leases: dict[str, Lease] = field(default_factory=dict)
    counters: dict[str, Counter] = field(default_factory=dict)

    def claim(
        self,
        now: float,
        instance: str,
        host: str,
        pid: int,
        attempt: int,
        gpus: Sequence[str],
        floor: int,
        held: Sequence[str],
        instead_of: Mapping[str, Lease],
    ) -> tuple[dict[str, int], dict[str, tuple[Lease, float]]]:
        """What was granted, with its epochs, and what was refused: the holder's lease and its seconds left."""
        epoch = floor + 1
        wanted: list[str] = []
        repeated: dict[str, int] = {}
        refused: dict[str, tuple[Lease, float]] = {}
        reached: dict[str, int] = {}
        for gpu in gpus:
            lease = self.lease(now, gpu)
            counter = self.counters.get(gpu) or Counter()
            reached[gpu] = max(counter.epoch, lease.epoch if lease else 0)
            last_attempt = counter.attempt if counter.instance == instance else -1
            dead = instead_of.get(gpu)
            replaced = lease and dead and (lease.instance, lease.epoch) == (dead.instance, dead.epoch)
            if lease is not None and lease.instance != instance and not replaced:
                refused[gpu] = lease, lease.ends_at - now
            elif attempt < last_attempt or (attempt == last_attempt and not counter.unreleased):
                pass  # overtaken
            elif attempt == last_attempt and counter.granted > floor:
                repeated[gpu] = counter.granted
                epoch = max(epoch, counter.granted)
            else:
                wanted.append(gpu)
                epoch = max(epoch, reached[gpu] + 1)
        granted = {**repeated, **dict.fromkeys(wanted, epoch)}
        for gpu, given in granted.items():
            self.counters[gpu] = Counter(max(epoch, reached[gpu]), given, instance, attempt, True)
            self.leases[gpu] = Lease(instance, host, pid, given, now + self.ttl)
        if granted:
            self.raise_counters(held, epoch)
        return granted, refused

    def raise_counters(self, held: Sequence[str], epoch: int) -> None:
        """Of what the daemon has already, to the epoch that it was granted now."""
        for gpu in held:
            counter = self.counters.setdefault(gpu, Counter())
            counter.epoch = max(epoch, counter.epoch)

    def renew(self, now: float, instance: str, epochs: Mapping[str, int]) -> dict[str, tuple[Lease, float] | None]:
        """What was lost, and who has it instead."""
        lost: dict[str, tuple[Lease, float] | None] = {}
        for gpu, epoch in epochs.items():
            lease = self.lease(now, gpu)
            if lease is not None and (lease.instance, lease.epoch) == (instance, epoch):
                self.leases[gpu] = Lease(instance, lease.host, lease.pid, epoch, now + self.ttl)
            else:
                lost[gpu] = None if lease is None else (lease, lease.ends_at - now)
        return lost

    def release(self, now: float, instance: str, epochs: Mapping[str, int]) -> list[str]:
        """What was let go."""
        released: list[str] = []
        for gpu, epoch in epochs.items():
            lease = self.lease(now, gpu)
            if lease is not None and (lease.instance, lease.epoch) == (instance, epoch):
                self.counters.setdefault(gpu, Counter()).unreleased = False
                del self.leases[gpu]
                released.append(gpu)
        return released

    def lease(self, now: float, gpu: str) -> Lease | None:
        """The lease of a GPU, unless it has ended."""
        lease = self.leases.get(gpu)
        if lease is not None and lease.ends_at <= now:
            del self.leases[gpu]
            return None
        return lease

    def forget(self) -> None:
        """The server comes back empty."""
        self.leases.clear()
        self.counters.clear()
