"""The journal: one SQLite file in the state directory, written in one transaction per turn of the engine.

A commit outlives the process at once (SIGKILL at any instruction), and a power cut as soon as the system has
written its pages: a power cut ends every holder anyway. Only tokens must not fall even then, so epochs are forced
to the disk, and the first start after a boot takes every token of the last epoch for given.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..core.actions import (
    DrainSet,
    LockChanged,
    LockEnded,
    LockGranted,
    QuarantineSet,
    Record,
    RequestLeft,
    RequestWaits,
)
from ..core.model import COUNTER_BITS, Lock, Quarantine
from ..ports import Clock, Ended, Saved, StartupRefused, Unavailable
from .checkpoint import Checkpointer
from .database import damaged, open_journal
from .directory import StateDirectory
from .faults import remedy
from .rows import (
    HISTORY_COLUMNS,
    LOCK_COLUMNS,
    QUARANTINE_COLUMNS,
    REQUEST_COLUMNS,
    history_row,
    lock_row,
    quarantine_row,
    read_ended,
    read_lock,
    read_quarantine,
    read_request,
    request_row,
)

FILE = "journal.sqlite"
HISTORY_ROWS = 20_000
CHECKPOINT_RECORDS = 256
_TRIM_EVERY = 64


def _insert(table: str, columns: Sequence[str]) -> str:
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"


# What is written twice stands there once: a lock's GPUs go with its row, and its history comes with the end of that.
INSERT_LOCK = f"{_insert('locks', LOCK_COLUMNS)} ON CONFLICT (token) DO NOTHING"
INSERT_LOCK_GPU = _insert("lock_gpus", ("gpu", "token", "place"))
UPDATE_LOCK = f"UPDATE locks SET {', '.join(f'{column} = ?' for column in LOCK_COLUMNS[1:])} WHERE token = ?"
DELETE_LOCK = "DELETE FROM locks WHERE token = ?"
DELETE_LOCK_GPU = "DELETE FROM lock_gpus WHERE gpu = ? AND token = ?"
INSERT_HISTORY = _insert("history", HISTORY_COLUMNS)
TRIM_HISTORY = "DELETE FROM history WHERE number <= (SELECT max(number) FROM history) - ?"
WRITE_REQUEST = _insert("requests", REQUEST_COLUMNS).replace("INSERT", "INSERT OR REPLACE", 1)
DELETE_REQUEST = "DELETE FROM requests WHERE id = ?"
WRITE_QUARANTINE = _insert("quarantines", QUARANTINE_COLUMNS).replace("INSERT", "INSERT OR REPLACE", 1)
DELETE_QUARANTINE = "DELETE FROM quarantines WHERE gpu = ?"
WRITE_DRAIN = "INSERT OR REPLACE INTO drains (gpu, reason, drained_by, drained_at) VALUES (?, ?, ?, ?)"
DELETE_DRAIN = "DELETE FROM drains WHERE gpu = ?"


class SqliteJournal:
    """Implements `ports.Journal`. Making one claims the state directory and opens the file in it.

    Raises `StartupRefused`: the directory cannot be used or another daemon has it, or the file cannot be trusted.
    A record that breaks a law (a second lock on a GPU, a token that is not above all others) raises
    `sqlite3.IntegrityError`: no fault of the disk, and not to be tried again.
    """

    def __init__(self, state_dir: Path, clock: Clock, *, history_rows: int = HISTORY_ROWS) -> None:
        self._clock = clock
        self._history_rows = history_rows
        with contextlib.ExitStack() as opened:
            self._directory = opened.enter_context(contextlib.closing(StateDirectory(state_dir)))
            self.file = state_dir / FILE
            self._db = opened.enter_context(contextlib.closing(open_journal(self.file)))
            self._db.row_factory = sqlite3.Row
            self._execute = self._db.execute
            self._directory.sync()
            self._checkpointer = opened.enter_context(contextlib.closing(Checkpointer(self.file, CHECKPOINT_RECORDS)))
            self._enter_boot()
            self._open = opened.pop_all()
        self._write: Mapping[type[Record], Callable[[Any], None]] = {
            LockGranted: self._granted,
            LockChanged: self._changed,
            LockEnded: self._ended,
            RequestWaits: self._waits,
            RequestLeft: self._left,
            QuarantineSet: self._quarantined,
            DrainSet: self._drained,
        }

    def load(self) -> Saved:
        db = self._db
        with self._reading_what_was_kept():
            gpus: dict[int, list[str]] = {}
            for row in db.execute("SELECT token, gpu FROM lock_gpus ORDER BY token, place"):
                gpus.setdefault(row["token"], []).append(row["gpu"])
            return Saved(
                locks=tuple(
                    read_lock(row, tuple(gpus.get(row["token"], ())))
                    for row in db.execute("SELECT * FROM locks ORDER BY token")
                ),
                quarantines={row["gpu"]: read_quarantine(row) for row in db.execute("SELECT * FROM quarantines")},
                drains={row["gpu"]: row["reason"] for row in db.execute("SELECT * FROM drains")},
                highest_token=self._meta()["highest_token"],
                requests=tuple(
                    read_request(row) for row in db.execute("SELECT * FROM requests ORDER BY rank_at, rank_number")
                ),
            )

    def commit(self, records: Sequence[Record]) -> None:
        if not records:
            return
        lasting = False
        with self._transaction():
            for record in records:
                self._write[type(record)](record)
                # An administrator's word should not be lost with the power; locks are, with their holders.
                lasting = lasting or type(record) is DrainSet
        self._checkpointer.wrote(len(records), lasting=lasting)

    def raise_epoch(self, epoch: int) -> None:
        """Waits for the disk. An epoch that is not above the last one changes nothing."""
        with self._transaction(through_power_cut=True):
            self._execute("UPDATE meta SET epoch = ? WHERE epoch < ?", (epoch, epoch))

    def history(
        self, limit: int, gpu: str | None = None, user: str | None = None, task: str | None = None
    ) -> list[Ended]:
        """Locks that have ended, the latest first. Raises `Unavailable`."""
        conditions = {
            "instr(gpus, json_quote(?)) > 0": gpu,
            "user = ?": user,
            "task = ?": task,
        }
        given = {condition: value for condition, value in conditions.items() if value is not None}
        try:
            rows = self._db.execute(
                f"SELECT * FROM history WHERE {' AND '.join(given) or 1} ORDER BY number DESC LIMIT ?",
                (*given.values(), max(limit, 0)),
            ).fetchall()
        except sqlite3.DatabaseError as error:
            raise self._unavailable("read", error) from error
        return [read_ended(row) for row in rows]

    def close(self) -> None:
        self._open.close()

    def _granted(self, record: LockGranted) -> None:
        lock = record.lock
        if self._execute(INSERT_LOCK, lock_row(lock)).rowcount:  # not when it is written already, or has ended
            for place, gpu in enumerate(lock.gpus):
                self._execute(INSERT_LOCK_GPU, (gpu, lock.token, place))

    def _changed(self, record: LockChanged) -> None:
        row = lock_row(record.lock)
        self._execute(UPDATE_LOCK, (*row[1:], row[0]))

    def _ended(self, record: LockEnded) -> None:
        lock = record.lock
        if not self._execute(DELETE_LOCK, (lock.token,)).rowcount:
            return  # written already
        for gpu in lock.gpus:
            self._execute(DELETE_LOCK_GPU, (gpu, lock.token))
        row = history_row(lock, record.at, self._booted_at(), record.how, record.by)
        number = self._execute(INSERT_HISTORY, row).lastrowid
        if number is not None and number % _TRIM_EVERY == 0:
            self._execute(TRIM_HISTORY, (self._history_rows,))

    def _waits(self, record: RequestWaits) -> None:
        self._execute(WRITE_REQUEST, request_row(record.request))

    def _left(self, record: RequestLeft) -> None:
        self._execute(DELETE_REQUEST, (record.request,))

    def _quarantined(self, record: QuarantineSet) -> None:
        if record.quarantine is None:
            self._execute(DELETE_QUARANTINE, (record.gpu,))
        else:
            self._execute(WRITE_QUARANTINE, quarantine_row(record.gpu, record.quarantine))

    def _drained(self, record: DrainSet) -> None:
        if record.reason is None:
            self._execute(DELETE_DRAIN, (record.gpu,))
        else:
            self._execute(WRITE_DRAIN, (record.gpu, record.reason, record.by, self._clock.wall()))

    def _enter_boot(self) -> None:
        """On the first start after a boot: moves every time onto this boot's clock, and lets no token fall.

        Ordinary commits of the boot before may be lost, so every token of its epoch counts as given out. Wall
        clocks tell how far apart the two clocks are; that is for people, for no lock of another boot is alive.
        """
        with self._reading_what_was_kept():
            meta = self._meta()
        if meta["boot_id"] == self._clock.boot_id:
            return
        kept = self.load()
        highest = (meta["epoch"] + 1 << COUNTER_BITS) - 1 if meta["epoch"] else 0
        booted_at = self._booted_at()
        later = meta["booted_at"] - booted_at
        try:
            with self._transaction(through_power_cut=True):
                for lock in kept.locks:
                    self._changed(LockChanged(_moved_lock(lock, later)))
                for gpu, quarantine in kept.quarantines.items():
                    self._quarantined(QuarantineSet(gpu, _moved_quarantine(quarantine, later)))
                self._execute("DELETE FROM requests")  # nobody who waited lives
                self._execute(
                    "UPDATE meta SET highest_token = max(highest_token, ?), boot_id = ?, booted_at = ?",
                    (highest, self._clock.boot_id, booted_at),
                )
        except Unavailable as error:
            raise StartupRefused(str(error), "the daemon grants nothing that it cannot record") from error

    def _booted_at(self) -> float:
        """Wall clock when the boot clock stood at 0."""
        return self._clock.wall() - self._clock.now()

    def _meta(self) -> sqlite3.Row:
        row: sqlite3.Row | None = self._db.execute("SELECT * FROM meta").fetchone()
        if row is None:
            raise ValueError("the table `meta` is empty")
        return row

    @contextlib.contextmanager
    def _reading_what_was_kept(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            if way_out := remedy(error, self.file):
                raise StartupRefused(f"cannot read the journal {self.file}: {error}", way_out) from error
            raise damaged(self.file, error) from error
        except (ValueError, TypeError, KeyError) as error:
            raise damaged(self.file, f"a row cannot be understood ({error!r})") from error

    @contextlib.contextmanager
    def _transaction(self, *, through_power_cut: bool = False) -> Iterator[None]:
        """All or nothing. Raises `Unavailable` where SQLite cannot write."""
        try:
            if through_power_cut:
                self._execute("PRAGMA synchronous = FULL")
            with self._db:  # commits, or rolls back
                self._execute("BEGIN IMMEDIATE")
                yield
        except (sqlite3.IntegrityError, sqlite3.ProgrammingError):
            raise
        except sqlite3.DatabaseError as error:
            raise self._unavailable("write", error) from error
        finally:
            if through_power_cut:
                self._execute("PRAGMA synchronous = NORMAL")

    def _unavailable(self, verb: str, error: sqlite3.DatabaseError) -> Unavailable:
        way_out = remedy(error, self.file) or "the file may be damaged: restart the daemon to have it examined"
        return Unavailable(f"cannot {verb} the journal {self.file}: {error}; {way_out}", "journal")


def _moved_lock(lock: Lock, later: float) -> Lock:
    recall = lock.recall
    return replace(
        lock,
        queued_at=lock.queued_at + later,
        granted_at=lock.granted_at + later,
        ends_at=lock.ends_at + later,
        beat_at=None if lock.beat_at is None else lock.beat_at + later,
        recall=recall and replace(recall, since=recall.since + later, deadline=recall.deadline + later),
    )


def _moved_quarantine(quarantine: Quarantine, later: float) -> Quarantine:
    return replace(quarantine, since=quarantine.since + later)
