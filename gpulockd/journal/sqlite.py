"""The journal: one SQLite file in the state directory, written in one transaction per turn of the engine.

A commit outlives the process at once (SIGKILL at any instruction), and a power cut as soon as the system has
written its pages: a power cut ends every holder anyway. Only tokens must not fall even then, so epochs are forced
to the disk, and the first start after a boot takes every token of the last epoch for given.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import assert_never

from ..core.actions import DrainSet, LockChanged, LockEnded, LockGranted, QuarantineSet, Record
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
    history_row,
    lock_row,
    quarantine_row,
    read_ended,
    read_lock,
    read_quarantine,
)

FILE = "journal.sqlite"
HISTORY_ROWS = 20_000
CHECKPOINT_RECORDS = 256
_TRIM_EVERY = 64


def _insert(table: str, columns: Sequence[str]) -> str:
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"


def _update(columns: Sequence[str]) -> str:
    return "DO UPDATE SET " + ", ".join(f"{column} = excluded.{column}" for column in columns)


# What is written twice stands there once: every statement may be repeated.
WRITE_LOCK = f"{_insert('locks', LOCK_COLUMNS)} ON CONFLICT (token) {_update(LOCK_COLUMNS[1:])}"
WRITE_LOCK_GPU = """
    INSERT INTO lock_gpus SELECT :gpu, token, :place FROM locks
     WHERE token = :token AND NOT EXISTS (SELECT 1 FROM lock_gpus WHERE gpu = :gpu AND token = :token)"""
DELETE_LOCK = "DELETE FROM locks WHERE token = ?"
WRITE_HISTORY = f"{_insert('history', HISTORY_COLUMNS)} ON CONFLICT (token) DO NOTHING"
TRIM_HISTORY = "DELETE FROM history WHERE number <= (SELECT max(number) FROM history) - ?"
WRITE_QUARANTINE = f"{_insert('quarantines', QUARANTINE_COLUMNS)} ON CONFLICT (gpu) {_update(QUARANTINE_COLUMNS[1:])}"
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
            self._directory.sync()
            self._checkpointer = opened.enter_context(contextlib.closing(Checkpointer(self.file, CHECKPOINT_RECORDS)))
            self._enter_boot()
            self._open = opened.pop_all()

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
            )

    def commit(self, records: Sequence[Record]) -> None:
        if not records:
            return
        with self._transaction():
            for record in records:
                self._write(record)
        # An administrator's word should not be lost with the power; locks are, with their holders.
        lasting = any(isinstance(record, DrainSet) for record in records)
        self._checkpointer.wrote(len(records), lasting=lasting)

    def raise_epoch(self, epoch: int) -> None:
        """Waits for the disk. An epoch that is not above the last one changes nothing."""
        with self._transaction(through_power_cut=True):
            self._db.execute("UPDATE meta SET epoch = ? WHERE epoch < ?", (epoch, epoch))

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

    def _write(self, record: Record) -> None:
        match record:
            case LockGranted(lock) | LockChanged(lock):
                self._write_lock(lock)
            case LockEnded(lock):
                self._db.execute(DELETE_LOCK, (lock.token,))
                number = self._db.execute(WRITE_HISTORY, history_row(self._ended(record))).lastrowid
                if number is not None and number % _TRIM_EVERY == 0:
                    self._db.execute(TRIM_HISTORY, (self._history_rows,))
            case QuarantineSet(gpu, quarantine):
                if quarantine is None:
                    self._db.execute(DELETE_QUARANTINE, (gpu,))
                else:
                    self._db.execute(WRITE_QUARANTINE, quarantine_row(gpu, quarantine))
            case DrainSet(gpu, reason, by):
                if reason is None:
                    self._db.execute(DELETE_DRAIN, (gpu,))
                else:
                    self._db.execute(WRITE_DRAIN, (gpu, reason, by, self._clock.wall()))
            case _:
                assert_never(record)

    def _write_lock(self, lock: Lock) -> None:
        self._db.execute(WRITE_LOCK, lock_row(lock))
        for place, gpu in enumerate(lock.gpus):
            self._db.execute(WRITE_LOCK_GPU, {"gpu": gpu, "token": lock.token, "place": place})

    def _ended(self, record: LockEnded) -> Ended:
        lock = record.lock
        booted_at = self._booted_at()
        return Ended(
            lock=lock.id,
            token=lock.token,
            gpus=lock.gpus,
            user=lock.owner.user,
            uid=lock.owner.uid,
            pid=lock.owner.process.pid,
            command=lock.owner.command,
            task=lock.wish.task,
            waited=lock.granted_at - lock.queued_at,
            held=record.at - lock.granted_at,
            granted_at=booted_at + lock.granted_at,
            ended_at=booted_at + record.at,
            how=record.how,
            by=record.by,
        )

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
                    self._write_lock(_moved_lock(lock, later))
                for gpu, quarantine in kept.quarantines.items():
                    self._write(QuarantineSet(gpu, _moved_quarantine(quarantine, later)))
                self._db.execute(
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
        db = self._db
        try:
            if through_power_cut:
                db.execute("PRAGMA synchronous = FULL")
            db.execute("BEGIN IMMEDIATE")
            yield
            db.execute("COMMIT")
        except (sqlite3.IntegrityError, sqlite3.ProgrammingError):
            raise
        except sqlite3.DatabaseError as error:
            raise self._unavailable("write", error) from error
        finally:
            if db.in_transaction:
                db.execute("ROLLBACK")
            if through_power_cut:
                db.execute("PRAGMA synchronous = NORMAL")

    def _unavailable(self, verb: str, error: sqlite3.DatabaseError) -> Unavailable:
        way_out = remedy(error, self.file) or "the file may be damaged: restart the daemon to have it examined"
        return Unavailable(f"cannot {verb} the journal {self.file}: {error}; {way_out}")


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
