"""When the file cannot be written: nothing is half written, the error says what to do, and trying again works."""

from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gpulockd.core.actions import LockEnded, LockGranted, Record
from gpulockd.journal import SqliteJournal
from gpulockd.journal.sqlite import LOG
from gpulockd.journal.turns import TurnLog
from gpulockd.ports import StartupRefused, Unavailable
from tests.support.clock import SetClock

from .limits import no_file_longer_than
from .samples import EPOCH, NEXT_BOOT, lock, token

TURN: list[Record] = [LockEnded(lock(1), 1000.0, "released"), LockGranted(lock(2)), LockGranted(lock(3))]


def fails(journal: SqliteJournal, records: list[Record] = TURN) -> str:
    """The error of a commit that wrote nothing."""
    before = content(journal.file)
    with pytest.raises(Unavailable) as failure:
        journal.commit(records)
    assert str(failure.value).startswith(f"cannot write the journal {journal.file}: ")
    assert content(journal.file) == before
    return str(failure.value)


def content(file: Path) -> list[object]:
    """What the next daemon would find."""
    with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as db:
        entered = [db.execute(f"SELECT * FROM {table}").fetchall() for table in ("meta", "locks", "history")]
        ((last,),) = db.execute("SELECT turn FROM meta").fetchall()
    with closing(TurnLog(file.with_name(LOG), make=False)) as log:
        return [*entered, list(log.after(last))]


def test_a_write_that_the_kernel_refuses_changes_nothing_and_can_be_repeated(journal: SqliteJournal) -> None:
    journal.commit([LockGranted(lock(1))])

    log = journal.file.with_name(LOG)
    with no_file_longer_than((before := log.stat().st_size) + 500):
        for _ in range(3):
            assert "dmesg" in fails(journal)
            assert log.stat().st_size == before + 500, "a part of it was written"
    journal.commit(TURN)

    assert journal.load().locks == (lock(2), lock(3))
    assert [ended.token for ended in journal.history(5)] == [token(1)]


def test_a_file_that_somebody_else_has_locked_is_named(journal: SqliteJournal) -> None:
    journal.commit([LockGranted(lock(1))])

    with closing(sqlite3.connect(journal.file, isolation_level=None)) as meddler:
        meddler.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable, match=f"`fuser {journal.file}`"):
            journal.raise_epoch(EPOCH + 1)
        journal.commit(TURN)  # it is in nobody's way with the log
        with pytest.raises(Unavailable, match="fuser"):
            journal.load()
        meddler.execute("ROLLBACK")

    assert journal.load().locks == (lock(2), lock(3))


def test_a_history_that_cannot_be_read_is_unavailable(journal: SqliteJournal) -> None:
    with closing(sqlite3.connect(journal.file, isolation_level=None)) as meddler:
        meddler.execute("DROP TABLE history")

    with pytest.raises(Unavailable, match=r"cannot read the journal .*restart the daemon to have it examined"):
        journal.history(1)


def test_who_only_reads_is_in_nobodys_way(journal: SqliteJournal) -> None:
    journal.commit([LockGranted(lock(1))])

    with closing(sqlite3.connect(journal.file, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        seen = reader.execute("SELECT id FROM locks").fetchall()
        journal.commit(TURN)
        assert reader.execute("SELECT id FROM locks").fetchall() == seen


def test_a_start_that_cannot_write_is_refused(state_dir: Path, clock: SetClock) -> None:
    SqliteJournal(state_dir, clock).close()
    clock.boot_id = NEXT_BOOT
    with (
        closing(sqlite3.connect(state_dir / "journal.sqlite", isolation_level=None)) as meddler,
        pytest.raises(StartupRefused, match="database is locked"),
    ):
        meddler.execute("BEGIN IMMEDIATE")
        SqliteJournal(state_dir, clock)

    SqliteJournal(state_dir, clock).close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB of this test's own."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k,mode=0700", "tmpfs", tmp_path], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"no right to mount here: {mounted.stderr.decode().strip()}")
    try:
        yield tmp_path
    finally:
        subprocess.run(["umount", tmp_path], check=True)


@pytest.mark.root
def test_a_full_disk_is_named_and_granting_goes_on_when_there_is_room(small_disk: Path, clock: SetClock) -> None:
    with closing(SqliteJournal(small_disk / "state", clock)) as journal:
        journal.raise_epoch(EPOCH)
        journal.commit([LockGranted(lock(1))])
        ballast = small_disk / "ballast"
        ballast.write_bytes(b"\0" * 16384)
        with pytest.raises(OSError, match="No space left"), ballast.open("ab", buffering=0) as file:
            while True:
                file.write(b"\0" * 4096)

        number = 2
        with pytest.raises(Unavailable, match=f"free some space on the file system of {small_disk / 'state'}"):
            for number in range(2, 100):  # the last page of the log has room for some
                journal.commit([LockGranted(lock(number))])
        assert "free some space" in fails(journal, [LockGranted(lock(number))])
        ballast.unlink()
        journal.commit([LockGranted(lock(number))])

        assert journal.load().locks == tuple(lock(each) for each in range(1, number + 1))


@pytest.mark.root
def test_a_disk_that_turned_read_only_is_named(small_disk: Path, clock: SetClock) -> None:
    with closing(SqliteJournal(small_disk / "state", clock)) as journal:
        journal.raise_epoch(EPOCH)
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)

    with pytest.raises(StartupRefused, match="Read-only file system") as refusal:
        SqliteJournal(small_disk / "state", clock)
    assert "daemon.state_dir" in refusal.value.hint
