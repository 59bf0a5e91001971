"""The journal of a simulated host: what is on its disk outlives every daemon.

It keeps to the contract of `ports.Journal` and to what the SQLite journal refuses; `test_disk.py` holds the two equal.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from gpulockd.core.actions import (
    DrainSet,
    LockChanged,
    LockEnded,
    LockGranted,
    QuarantineSet,
    Record,
    RequestLeft,
    RequestWaits,
)
from gpulockd.core.model import COUNTER_BITS, Lock, Quarantine, Request
from gpulockd.core.settings import Levels
from gpulockd.ports import Saved


@dataclass(slots=True)
class Disk:
    """What a commit has written is there, whole, from then on."""

    locks: dict[str, Lock] = field(default_factory=dict)
    requests: dict[str, Request] = field(default_factory=dict)
    quarantines: dict[str, Quarantine] = field(default_factory=dict)
    drains: dict[str, str] = field(default_factory=dict)
    highest_token: int = 0
    epoch: int = 0
    local_epoch: int = 0
    """Of the lease in the state directory, where there is no store."""
    ended: set[int] = field(default_factory=set)
    """The tokens of locks of the past."""

    def load(self) -> Saved:
        """Copies: what a daemon does with them in memory is not written."""
        locks = sorted(self.locks.values(), key=lambda lock: lock.token)
        return Saved(
            tuple(replace(lock, levels=Levels()) for lock in locks),
            dict(self.quarantines),
            dict(self.drains),
            self.highest_token,
            tuple(
                replace(request, candidates=frozenset(), told_position=0)
                for request in sorted(self.requests.values(), key=lambda request: request.rank)
            ),
        )

    def write(self, records: Sequence[Record]) -> None:
        """All or nothing; the same records may be given again.

        Raises `sqlite3.IntegrityError`, as the SQLite journal does, for a second lock on a GPU, and for a token that is
        not above all others or of an epoch that was not written down before.
        """
        locks, highest, ended = dict(self.locks), self.highest_token, set[int]()
        quarantines, drains, requests = dict(self.quarantines), dict(self.drains), dict(self.requests)
        for record in records:
            match record:
                case LockGranted(lock) | LockChanged(lock):
                    if lock.token in self.ended or lock.token in ended:
                        continue
                    if lock.id not in locks:
                        if lock.token >> COUNTER_BITS > self.epoch:
                            raise sqlite3.IntegrityError(f"the epoch of token {lock.token} was not raised before")
                        if lock.token <= highest:
                            raise sqlite3.IntegrityError(f"token {lock.token} is not above {highest}")
                        taken = {gpu for other in locks.values() for gpu in other.gpus}
                        if not taken.isdisjoint(lock.gpus):
                            raise sqlite3.IntegrityError(f"a second lock on a GPU of {lock.id}")
                        highest = lock.token
                    locks[lock.id] = replace(lock)
                case LockEnded(lock):
                    locks.pop(lock.id, None)
                    ended.add(lock.token)
                case RequestWaits(request):
                    requests[request.id] = replace(request)
                case RequestLeft(left):
                    requests.pop(left, None)
                case QuarantineSet(gpu, None):
                    quarantines.pop(gpu, None)
                case QuarantineSet(gpu, entry) if entry is not None:
                    quarantines[gpu] = entry
                case DrainSet(gpu, None):
                    drains.pop(gpu, None)
                case DrainSet(gpu, reason) if reason is not None:
                    drains[gpu] = reason
        self.locks, self.highest_token, self.quarantines, self.drains = locks, highest, quarantines, drains
        self.requests = requests
        self.ended |= ended
