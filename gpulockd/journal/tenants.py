"""Who has had a lock on a GPU and may still be on it, with a context or a model that it keeps for its next task.

Whoever is granted a lock is one: that is read off the grants, which are in the journal anyway, so it costs a request
nothing. The others are dropped, and processes that belonged to a holder are added, whenever a look at the GPU finds it
so; see `core.gpus`. The rest of the bounds: a row lasts for one boot, and there are never more than `KEPT` of them,
which only matters where the driver cannot tell who is on a GPU, and so nobody asks who they are either.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from ..core.model import Process

KEPT = 512

WRITE = "INSERT OR REPLACE INTO tenants (gpu, pid, start_time, boot_id) VALUES (?, ?, ?, ?)"
DELETE = "DELETE FROM tenants WHERE gpu = ?"
TRIM = (
    "DELETE FROM tenants WHERE (SELECT count(*) FROM tenants) > ?1 "
    "AND number NOT IN (SELECT number FROM tenants ORDER BY number DESC LIMIT ?1)"
)


class Tenants:
    """What many turns together say of them."""

    def __init__(self) -> None:
        self._known: defaultdict[str, dict[int, Sequence[Any]]] = defaultdict(dict)
        """By GPU and pid: pid, start time and boot id."""
        self._looked_at: set[str] = set()

    def granted(self, gpus: Sequence[str], process: Sequence[Any]) -> None:
        for gpu in gpus:
            self._known[gpu][process[0]] = process

    def seen(self, gpu: str, processes: Sequence[Sequence[Any]]) -> None:
        """All that there are of this GPU."""
        self._looked_at.add(gpu)
        self._known[gpu] = {process[0]: process for process in processes}

    def enter(self, db: sqlite3.Connection) -> None:
        """One that cannot be seen, with no start time, could not be told from a later one."""
        db.executemany(DELETE, ((gpu,) for gpu in self._looked_at))
        db.executemany(
            WRITE,
            ((gpu, *process) for gpu, known in self._known.items() for process in known.values() if process[1]),
        )
        if self._known:
            db.execute(TRIM, (KEPT,))


def load(db: sqlite3.Connection) -> dict[str, tuple[Process, ...]]:
    found: defaultdict[str, list[Process]] = defaultdict(list)
    for gpu, *process in db.execute("SELECT gpu, pid, start_time, boot_id FROM tenants ORDER BY number"):
        found[gpu].append(Process(*process))
    return {gpu: tuple(processes) for gpu, processes in found.items()}
