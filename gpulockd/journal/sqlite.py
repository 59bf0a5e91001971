"""The journal: a SQLite file in the state directory, and beside it a log that is written once per turn of the engine.

A turn is appended whole to the log, in plain values, and that is its commit: it outlives the process at once (SIGKILL
at any instruction), and a power cut as soon as the system has written its pages: a power cut ends every holder anyway.
What the laws ask of it was checked before, by the `Ledger`. The tables, which say what is live and what was, have their
turns entered many at a time, and say up to which; what is not entered yet is read from the log at the next start. To
have SQLite write each turn takes it some ten system calls and tens of microseconds, a quarter of what a cycle costs.

Only tokens must not fall even over a power cut, so epochs are forced to the disk, and the first start after a boot
takes every token of the last epoch for given.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import math
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from ..core.actions import DrainSet, LockChanged, QuarantineSet, Record
from ..core.model import COUNTER_BITS, Lock, Quarantine
from ..history import ALL, Ended, Sought, Total, Unmet
from ..ports import Clock, Saved, StartupRefused, Unavailable
from .checkpoint import Checkpointer
from .database import damaged, open_journal
from .directory import StateDirectory
from .entries import booted_at, decode, encode, entry_of
from .faults import remedy
from .past import Bounds, Past, Turn
from .tables import Tables
from .turns import lost, open_log

FILE = "journal.sqlite"
LOG = "journal.sqlite-turns"
CHECKPOINT_RECORDS = 16 * 1024
"""Some 3 MiB of SQLite's log. The first commit after a checkpoint waits for the disk, to begin that log anew, and the
event loop with it: that is to be rare."""
TURNS_TO_ENTER = 256
"""So many turns are entered into the tables together: rarely enough that the pause does not show, and often enough that
it stays one of a few milliseconds."""

UNBOUNDED = Bounds(math.inf, 1 << 62)

log = logging.getLogger(__name__)


class SqliteJournal:
    """Implements `ports.Journal`. Making one claims the state directory and opens the file in it.

    Raises `StartupRefused`: the directory cannot be used or another daemon has it, or the file cannot be trusted.
    A record that breaks a law (a second lock on a GPU, a token that is not above all others) raises
    `sqlite3.IntegrityError`: no fault of the disk, and not to be tried again.
    """

    def __init__(self, state_dir: Path, clock: Clock, bounds: Bounds = UNBOUNDED) -> None:
        """`bounds` of what is kept of the past."""
        self._clock = clock
        self._pending: list[Turn] = []
        """The turns that are not in the tables yet, in their order."""
        with contextlib.ExitStack() as opened:
            self._directory = opened.enter_context(contextlib.closing(StateDirectory(state_dir)))
            self.file = state_dir / FILE
            self._db = opened.enter_context(contextlib.closing(open_journal(self.file)))
            self._db.row_factory = sqlite3.Row
            self._execute = self._db.execute
            self._tables = Tables(self._db, bounds, clock.wall)
            self._past = opened.enter_context(
                contextlib.closing(Past(self.file, bounds, clock.wall, lambda: tuple(self._pending)))
            )
            self._directory.sync()
            self._checkpointer = opened.enter_context(contextlib.closing(Checkpointer(self.file, CHECKPOINT_RECORDS)))
            with self._reading_what_was_kept():
                meta = self._tables.meta()
            same_boot = meta["boot_id"] == clock.boot_id
            self._number: int = meta["turn"]
            """That of the last turn."""
            self._log = opened.enter_context(
                contextlib.closing(open_log(state_dir / LOG, meta["log"], same_boot=same_boot))
            )
            self._take_up(same_boot=same_boot)
            self._enter_boot()
            with self._reading_what_was_kept():
                self._ledger = self._tables.ledger()
            self._open = opened.pop_all()

    def load(self) -> Saved:
        self._enter_pending()
        with self._reading_what_was_kept():
            return self._tables.load()

    def commit(self, records: Sequence[Record]) -> None:
        if not records:
            return
        clock = self._clock
        ledger, entries = self._ledger.after([entry_of(record, clock) for record in records], self._has_ended)
        if not entries:
            return
        try:
            self._log.append(self._number + 1, encode(entries))
        except OSError as error:
            raise self._unavailable("write", error) from error
        self._number += 1
        self._ledger = ledger
        self._pending.append((self._number, entries))
        # An administrator's word should not be lost with the power; locks are, with their holders.
        lasting = any(type(record) is DrainSet for record in records)
        if lasting or len(self._pending) % TURNS_TO_ENTER == 0:
            self._try_to_enter_pending()
        self._checkpointer.wrote(len(records), lasting=lasting)

    def raise_epoch(self, epoch: int) -> None:
        """Waits for the disk. An epoch that is not above the last one changes nothing."""
        with self._transaction(through_power_cut=True):
            self._execute("UPDATE meta SET epoch = ? WHERE epoch < ?", (epoch, epoch))
        self._ledger = self._ledger.with_epoch(epoch)

    def history(self, limit: int, sought: Sought = ALL) -> list[Ended]:
        with self._reading_the_past():
            return self._past.locks(limit, sought)

    def unmet(self, limit: int, sought: Sought = ALL) -> list[Unmet]:
        with self._reading_the_past():
            return self._past.requests(limit, sought)

    def totals(self, sought: Sought = ALL) -> list[Total]:
        with self._reading_the_past():
            return self._past.totals(sought)

    def close(self) -> None:
        self._try_to_enter_pending()
        if not self._pending:
            self._part_with_log()
        self._open.close()

    def _part_with_log(self) -> None:
        """A journal that is closed is one file."""
        try:
            self._execute("UPDATE meta SET log = x''")
            self._log.file.unlink()
        except (sqlite3.DatabaseError, OSError) as error:
            log.warning("%s stays beside the journal: %s", self._log.file, error)

    def _take_up(self, *, same_boot: bool) -> None:
        """Enters the turns that the daemon before could not, and begins a log for those of this one."""
        with self._reading_what_was_kept():
            for row in self._execute("SELECT number, entries FROM turns ORDER BY number"):
                self._number = row["number"]
                self._pending.append((self._number, decode(row["entries"])))
            try:
                for number, entries in self._log.after(self._number):
                    self._number = number
                    self._pending.append((number, decode(entries)))
            except ValueError as error:
                if same_boot:
                    raise lost(self._log.file, error) from error
                log.warning("%s ends early, as after a power cut: %s", self._log.file, error)
        with self._starting():
            with self._reading_what_was_kept():
                self._enter_pending()
            with self._transaction():
                if self._log.gap:
                    self._execute("UPDATE meta SET id = randomblob(16)")
                self._execute("UPDATE meta SET log = ?", (self._log.begin(),))

    def _enter_pending(self) -> None:
        """Raises `Unavailable`."""
        if not self._pending:
            return
        with self._transaction():
            self._tables.enter(itertools.chain.from_iterable(entries for _, entries in self._pending))
            self._execute("DELETE FROM turns")  # those of an older gpulockd
            self._execute("UPDATE meta SET turn = ?", (self._number,))
        self._pending = []
        with contextlib.suppress(OSError):  # what stays in it is known to be entered
            self._log.clear()

    def _try_to_enter_pending(self) -> None:
        """They are committed all the same: what cannot be entered now is entered later, or at the next start."""
        try:
            self._enter_pending()
        except Unavailable as error:
            log.warning("%d turns cannot be entered into the tables yet: %s", len(self._pending), error)

    def _has_ended(self, token: int) -> bool:
        self._enter_pending()
        return self._tables.has_ended(token)

    def _enter_boot(self) -> None:
        """On the first start after a boot: moves every time onto this boot's clock, and lets no token fall.

        Ordinary commits of the boot before may be lost, so every token of its epoch counts as given out. Wall
        clocks tell how far apart the two clocks are; that is for people, for no lock of another boot is alive.
        """
        with self._reading_what_was_kept():
            meta = self._tables.meta()
            if meta["boot_id"] == self._clock.boot_id:
                return
            kept = self._tables.load()
        highest = (meta["epoch"] + 1 << COUNTER_BITS) - 1 if meta["epoch"] else 0
        later = meta["booted_at"] - booted_at(self._clock)
        with self._starting(), self._transaction(through_power_cut=True):
            moved: list[Record] = [LockChanged(_moved_lock(lock, later)) for lock in kept.locks]
            moved += [
                QuarantineSet(gpu, _moved_quarantine(quarantine, later)) for gpu, quarantine in kept.quarantines.items()
            ]
            self._tables.enter([entry_of(record, self._clock) for record in moved])
            self._execute("DELETE FROM requests")  # nobody who waited lives
            self._execute("DELETE FROM tenants")
            self._execute(
                "UPDATE meta SET highest_token = max(highest_token, ?), boot_id = ?, booted_at = ?",
                (highest, self._clock.boot_id, booted_at(self._clock)),
            )

    @contextlib.contextmanager
    def _starting(self) -> Iterator[None]:
        try:
            yield
        except Unavailable as error:
            raise StartupRefused(str(error), "the daemon grants nothing that it cannot record") from error

    @contextlib.contextmanager
    def _reading_the_past(self) -> Iterator[None]:
        """Raises `Unavailable`."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            raise self._unavailable("read", error) from error

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
        except (sqlite3.DatabaseError, OSError) as error:
            raise self._unavailable("write", error) from error
        finally:
            if through_power_cut:
                self._execute("PRAGMA synchronous = NORMAL")

    def _unavailable(self, verb: str, error: sqlite3.DatabaseError | OSError) -> Unavailable:
        way_out = remedy(error, self.file) or "the file may be damaged: restart the daemon to have it examined"
        why = error.strerror if isinstance(error, OSError) else error
        return Unavailable(f"cannot {verb} the journal {self.file}: {why}; {way_out}", "journal")


def _moved_lock(lock: Lock, later: float) -> Lock:
    recall, usage = lock.recall, lock.usage
    return replace(
        lock,
        queued_at=lock.queued_at + later,
        granted_at=lock.granted_at + later,
        ends_at=lock.ends_at + later,
        beat_at=None if lock.beat_at is None else lock.beat_at + later,
        recall=recall and replace(recall, since=recall.since + later, deadline=recall.deadline + later),
        usage=usage and replace(usage, seen_until=usage.seen_until + later),
    )


def _moved_quarantine(quarantine: Quarantine, later: float) -> Quarantine:
    return replace(quarantine, since=quarantine.since + later)
