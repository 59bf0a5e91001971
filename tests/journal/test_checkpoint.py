"""The write-ahead log stays small, and nobody waits for that."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from gpulockd.core.actions import DrainSet, LockEnded, LockGranted
from gpulockd.journal import SqliteJournal
from gpulockd.journal.checkpoint import Checkpointer
from gpulockd.journal.database import PAGE_BYTES, open_journal as open_database
from tests.support.waiting import wait_until

from .limits import no_file_longer_than
from .samples import lock


def rows_without_log(file: Path, table: str) -> int:
    """Rows in the database file alone."""
    with closing(sqlite3.connect(f"{file.as_uri()}?immutable=1", uri=True)) as db:
        try:
            return len(db.execute(f"SELECT * FROM {table}").fetchall())
        except sqlite3.DatabaseError:  # the schema itself is still in the log, or half of it
            return 0


def test_a_drain_is_moved_into_the_file_at_once(journal: SqliteJournal) -> None:
    journal.commit([LockGranted(lock(1)), DrainSet("GPU-a", "fan", "root")])

    wait_until(lambda: rows_without_log(journal.file, "drains") == 1, "the drain is in the file")


def test_the_log_is_written_over_from_its_beginning(journal: SqliteJournal) -> None:
    log = journal.file.with_name("journal.sqlite-wal")

    for number in range(1, 12_001):
        journal.commit([LockGranted(lock(number)), LockEnded(lock(number), 1000.0, "released")])

    assert log.stat().st_size < 24 * 1024 * 1024, "it would grow for ever otherwise"


def test_a_log_that_is_written_without_a_pause_does_not_grow_for_ever(tmp_path: Path) -> None:
    file, log = tmp_path / "journal.sqlite", tmp_path / "journal.sqlite-wal"
    with (
        closing(open_database(file)) as db,
        closing(Checkpointer(file, every=10, wal_pages=50)) as checkpointer,
    ):
        for number in range(20_000):
            db.execute("INSERT INTO drains VALUES (?, '', '', 0)", (f"GPU-{number}",))
            checkpointer.wrote(1, lasting=False)
        assert log.stat().st_size < 8000 * PAGE_BYTES


def test_a_failed_checkpoint_is_told_and_made_up_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "journal.sqlite"
    with closing(open_database(file)), closing(Checkpointer(file, every=1)) as checkpointer:
        with no_file_longer_than(PAGE_BYTES):
            checkpointer.wrote(1, lasting=True)
            wait_until(lambda: caplog.messages, "the failure is logged")
        assert f"cannot checkpoint the journal {file}: disk I/O error" in caplog.messages[0]

        checkpointer.wrote(1, lasting=True)

        wait_until(lambda: rows_without_log(file, "meta") == 1, "the schema is in the file")
