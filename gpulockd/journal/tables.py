"""The journal's tables: what is live, and history. Turns are entered into them many at a time.

A lock that was granted and let go since the last time never gets into them; only its end does.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ..ports import Saved
from . import tenants
from .entries import CHANGED, DRAINED, ENDED, GRANTED, LEFT, QUARANTINED, TENANTS, UNMET, WAITS, Entry
from .ledger import Ledger
from .past import Bounds
from .rows import (
    HISTORY_COLUMNS,
    LOCK_COLUMNS,
    PROCESS,
    QUARANTINE_COLUMNS,
    REQUEST_COLUMNS,
    UNMET_COLUMNS,
    Value,
    history_row,
    lock_row,
    read_lock,
    read_quarantine,
    read_request,
    request_row,
)


def _insert(table: str, columns: Sequence[str], verb: str = "INSERT") -> str:
    return f"{verb} INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"


INSERT_LOCK = _insert("locks", LOCK_COLUMNS)
INSERT_LOCK_GPU = _insert("lock_gpus", ("gpu", "token", "place"))
UPDATE_LOCK = f"UPDATE locks SET {', '.join(f'{column} = ?' for column in LOCK_COLUMNS[1:])} WHERE token = ?"
DELETE_LOCK = "DELETE FROM locks WHERE token = ?"
DELETE_LOCK_GPU = "DELETE FROM lock_gpus WHERE gpu = ? AND token = ?"
INSERT_HISTORY = _insert("history", HISTORY_COLUMNS)
INSERT_UNMET = _insert("unmet", UNMET_COLUMNS)
# Rows stand in the order in which they ended: the oldest are first, and looking at them stops at the first to stay.
TRIM_BY_NUMBER = "DELETE FROM {0} WHERE number <= (SELECT max(number) FROM {0}) - ?"
TRIM_BY_AGE = (
    "DELETE FROM {0} WHERE number < "
    "coalesce((SELECT number FROM {0} WHERE ended_at >= ? ORDER BY number LIMIT 1), 9223372036854775807)"
)
WRITE_REQUEST = _insert("requests", REQUEST_COLUMNS, "INSERT OR REPLACE")
DELETE_REQUEST = "DELETE FROM requests WHERE id = ?"
WRITE_QUARANTINE = _insert("quarantines", QUARANTINE_COLUMNS, "INSERT OR REPLACE")
DELETE_QUARANTINE = "DELETE FROM quarantines WHERE gpu = ?"
WRITE_DRAIN = _insert("drains", ("gpu", "reason", "drained_by", "drained_at"), "INSERT OR REPLACE")
DELETE_DRAIN = "DELETE FROM drains WHERE gpu = ?"


class _Batch:
    """What comes of many turns together."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.granted: dict[int, tuple[Sequence[str], Sequence[Any]]] = {}
        self.changed: dict[int, Sequence[Any]] = {}
        self.gone: dict[int, Sequence[str]] = {}
        self.ended: list[Sequence[Any]] = []
        self.unmet: list[Sequence[Value]] = []
        self.requests: dict[str, Sequence[Any] | None] = {}
        self.quarantines: dict[str, Sequence[Value] | None] = {}
        self.drains: dict[str, tuple[str | None, str, float]] = {}
        self.tenants = tenants.Tenants()
        self.highest = 0
        for entry in entries:
            kind, subject = entry[0], entry[1]
            if kind == ENDED:
                if self.granted.pop(subject, None) is None:
                    self.gone[subject] = entry[2]
                    self.changed.pop(subject, None)
                self.ended.append(entry[3])
            elif kind == GRANTED:
                self.granted[subject] = (entry[2], entry[3])
                self.highest = subject
                self.tenants.granted(entry[2], entry[3][PROCESS])
            elif kind == WAITS:
                self.requests[subject] = entry[2]
            elif kind == LEFT:
                self.requests[subject] = None
            elif kind == CHANGED:
                if subject in self.granted:
                    self.granted[subject] = (self.granted[subject][0], entry[2])
                else:
                    self.changed[subject] = entry[2]
            elif kind == UNMET:
                self.unmet.append(entry[2])
            elif kind == QUARANTINED:
                self.quarantines[subject] = entry[2]
            elif kind == TENANTS:
                self.tenants.seen(subject, entry[2])
            elif kind == DRAINED:
                self.drains[subject] = (entry[2], entry[3], entry[4])
            else:
                raise ValueError(f"an entry of unknown kind {kind!r}")


class Tables:
    """The tables behind a connection. Whoever calls `enter` has begun a transaction."""

    def __init__(self, db: sqlite3.Connection, bounds: Bounds, wall: Callable[[], float]) -> None:
        """`wall` tells the seconds since 1970, by which history has its age."""
        self._db = db
        self._bounds = bounds
        self._wall = wall

    def enter(self, entries: Iterable[Entry]) -> None:
        db, batch = self._db, _Batch(entries)
        db.executemany(DELETE_LOCK, ((token,) for token in batch.gone))
        db.executemany(DELETE_LOCK_GPU, ((gpu, token) for token, gpus in batch.gone.items() for gpu in gpus))
        db.executemany(INSERT_LOCK, (lock_row(values) for _, values in batch.granted.values()))
        db.executemany(
            INSERT_LOCK_GPU,
            ((gpu, token, place) for token, (gpus, _) in batch.granted.items() for place, gpu in enumerate(gpus)),
        )
        changed = map(lock_row, batch.changed.values())
        db.executemany(UPDATE_LOCK, ((*row[1:], row[0]) for row in changed))
        self._remember("history", INSERT_HISTORY, list(map(history_row, batch.ended)))
        self._remember("unmet", INSERT_UNMET, batch.unmet)
        db.executemany(DELETE_REQUEST, ((name,) for name, values in batch.requests.items() if values is None))
        db.executemany(WRITE_REQUEST, (request_row(values) for values in batch.requests.values() if values is not None))
        db.executemany(DELETE_QUARANTINE, ((gpu,) for gpu, row in batch.quarantines.items() if row is None))
        db.executemany(WRITE_QUARANTINE, (row for row in batch.quarantines.values() if row is not None))
        db.executemany(DELETE_DRAIN, ((gpu,) for gpu, (reason, _, _) in batch.drains.items() if reason is None))
        db.executemany(WRITE_DRAIN, ((gpu, *drain) for gpu, drain in batch.drains.items() if drain[0] is not None))
        batch.tenants.enter(db)
        db.execute("UPDATE meta SET highest_token = max(highest_token, ?)", (batch.highest,))

    def _remember(self, table: str, insert: str, rows: Sequence[Sequence[Value]]) -> None:
        if rows:
            self._db.executemany(insert, rows)
            self._db.execute(TRIM_BY_NUMBER.format(table), (self._bounds.rows,))
        self._db.execute(TRIM_BY_AGE.format(table), (self._wall() - self._bounds.age,))

    def load(self) -> Saved:
        db = self._db
        gpus = self._lock_gpus()
        return Saved(
            locks=tuple(
                read_lock(row, gpus.get(row["token"], ())) for row in db.execute("SELECT * FROM locks ORDER BY token")
            ),
            quarantines={row["gpu"]: read_quarantine(row) for row in db.execute("SELECT * FROM quarantines")},
            drains={row["gpu"]: row["reason"] for row in db.execute("SELECT * FROM drains")},
            highest_token=self.meta()["highest_token"],
            requests=tuple(
                read_request(row) for row in db.execute("SELECT * FROM requests ORDER BY rank_at, rank_number")
            ),
            tenants=tenants.load(db),
            journal=self.meta()["id"],
        )

    def ledger(self) -> Ledger:
        meta, gpus = self.meta(), self._lock_gpus()
        tokens = [row["token"] for row in self._db.execute("SELECT token FROM locks")]
        return Ledger.of(meta["epoch"], meta["highest_token"], {token: gpus.get(token, ()) for token in tokens})

    def _lock_gpus(self) -> dict[int, tuple[str, ...]]:
        gpus: dict[int, tuple[str, ...]] = {}
        for row in self._db.execute("SELECT token, gpu FROM lock_gpus ORDER BY token, place"):
            gpus[row["token"]] = (*gpus.get(row["token"], ()), row["gpu"])
        return gpus

    def meta(self) -> sqlite3.Row:
        row: sqlite3.Row | None = self._db.execute("SELECT * FROM meta").fetchone()
        if row is None:
            raise ValueError("the table `meta` is empty")
        return row

    def has_ended(self, token: int) -> bool:
        return self._db.execute("SELECT 1 FROM history WHERE token = ?", (token,)).fetchone() is not None
