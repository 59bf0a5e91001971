"""Which files are trusted: sound ones, of this version or an older one. None is started empty by accident."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from gpulockd.core.actions import DrainSet, LockEnded, LockGranted, QuarantineSet
from gpulockd.journal import SqliteJournal
from gpulockd.journal.database import open_journal as open_database, schema_steps
from gpulockd.journal.sqlite import LOG
from gpulockd.ports import StartupRefused
from tests.support.clock import SetClock

from .conftest import OpenJournal
from .files.make import CONFINED, CONTENT, HISTORY, HISTORY_5, REQUESTS, TENANTS, UNMET, WATCHED
from .limits import no_file_longer_than
from .samples import EPOCH, lock, quarantine, token

FILES = sorted((Path(__file__).parent / "files").glob("v*.sqlite"))
LATEST = len(schema_steps())


def written(state_dir: Path, clock: SetClock) -> Path:
    """A journal with something in it, closed."""
    with closing(SqliteJournal(state_dir, clock)) as journal:
        journal.raise_epoch(EPOCH)
        for number in range(1, 41):
            journal.commit([LockGranted(lock(number)), LockEnded(lock(number), 1000.0, "released")])
        journal.commit([LockGranted(lock(41)), DrainSet("GPU-d", "fan", "root")])
        return journal.file


def refused(state_dir: Path, clock: SetClock) -> StartupRefused:
    """The refusal, which has left every byte as it was."""
    file = state_dir / "journal.sqlite"
    before = file.read_bytes()
    with pytest.raises(StartupRefused) as refusal:
        SqliteJournal(state_dir, clock).close()
    assert str(file) in str(refusal.value)
    assert refusal.value.hint
    assert file.read_bytes() == before
    return refusal.value


def test_an_empty_file_is_a_new_journal(state_dir: Path, clock: SetClock) -> None:
    state_dir.mkdir(mode=0o700)
    (state_dir / "journal.sqlite").touch()

    with closing(SqliteJournal(state_dir, clock)) as journal:
        assert journal.load().locks == ()


def test_a_journal_whose_making_was_cut_short_is_a_new_one(state_dir: Path, clock: SetClock) -> None:
    state_dir.mkdir(mode=0o700)
    with closing(sqlite3.connect(state_dir / "journal.sqlite", isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
    assert (state_dir / "journal.sqlite").stat().st_size > 0

    with closing(SqliteJournal(state_dir, clock)) as journal:
        assert journal.load().locks == ()


def test_a_journal_that_cannot_be_made_refuses_the_start(tmp_path: Path) -> None:
    """For what is around it, not for damage: nothing is to be moved away."""
    with (
        no_file_longer_than(0),
        pytest.raises(StartupRefused, match=r"cannot open the journal .*: disk I/O error") as refusal,
    ):
        open_database(tmp_path / "journal.sqlite")
    assert "dmesg" in refusal.value.hint


def cut_in_half(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def overwrite_header(file: Path) -> None:
    file.write_bytes(b"\0" * 100 + file.read_bytes()[100:])


def overwrite_pages(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[:4096] + b"\xa5" * 8192 + content[4096 + 8192 :])


def replace_by_text(file: Path) -> None:
    file.write_text("{}")


@pytest.mark.parametrize("damage", [cut_in_half, overwrite_header, overwrite_pages, replace_by_text])
def test_a_damaged_file_is_refused_with_the_way_out(
    state_dir: Path, clock: SetClock, damage: Callable[[Path], None]
) -> None:
    file = written(state_dir, clock)
    damage(file)

    refusal = refused(state_dir, clock)

    assert f"the journal {file} is damaged" in str(refusal)
    assert f"mv {file} {file}.damaged" in refusal.hint


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE locks SET state = 'lent'",
        "UPDATE locks SET wish = '{'",
        """UPDATE locks SET wish = '{"count": 1}'""",
        """UPDATE quarantines SET holder = '{"process": {"pid": 1}}'""",
        "DELETE FROM meta",
        "DELETE FROM locks",  # and leave its GPUs, without the foreign keys
        "DROP TABLE drains",
    ],
)
def test_rows_that_cannot_be_understood_are_refused(state_dir: Path, clock: SetClock, change: str) -> None:
    with closing(SqliteJournal(state_dir, clock)) as journal:
        journal.raise_epoch(EPOCH)
        journal.commit([LockGranted(lock(1)), QuarantineSet("GPU-q", quarantine())])
    with closing(sqlite3.connect(journal.file, isolation_level=None)) as db:
        db.execute(change)

    with pytest.raises(StartupRefused, match="is damaged") as refusal, closing(SqliteJournal(state_dir, clock)) as it:
        it.load()
    assert "mv " in refusal.value.hint


def test_a_file_of_something_else_is_refused(state_dir: Path, clock: SetClock) -> None:
    state_dir.mkdir(mode=0o700)
    with closing(sqlite3.connect(state_dir / "journal.sqlite", isolation_level=None)) as db:
        db.execute("CREATE TABLE songs (title TEXT)")

    assert "not a journal of gpulockd" in str(refused(state_dir, clock))


def test_a_newer_schema_is_refused_by_name(state_dir: Path, clock: SetClock) -> None:
    file = written(state_dir, clock)
    with closing(sqlite3.connect(file, isolation_level=None)) as db:
        db.execute(f"PRAGMA user_version = {LATEST + 1}")

    refusal = refused(state_dir, clock)

    assert (
        str(refusal)
        == f"the journal {file} was written by a newer gpulockd, schema {LATEST + 1}; this one knows up to {LATEST}"
    )
    assert "upgrade gpulockd" in refusal.hint
    assert f"move {file} away" in refusal.hint


def test_a_file_of_every_version_is_there() -> None:
    assert [file.stem for file in FILES] == [f"v{version}" for version in range(1, LATEST + 1)]


@pytest.mark.parametrize("kept", FILES, ids=lambda file: file.stem)
def test_a_file_of_every_version_loads(state_dir: Path, open_journal: OpenJournal, kept: Path) -> None:
    state_dir.mkdir(mode=0o700)
    shutil.copy(kept, state_dir / "journal.sqlite")
    if (log := kept.with_name(f"{kept.name}-turns")).exists():  # since version 6
        shutil.copy(log, state_dir)
        (state_dir / log.name).rename(state_dir / LOG)

    journal = open_journal()

    version = int(kept.stem[1:])
    requests = REQUESTS if version >= 3 else ()
    locks, highest, history = CONTENT.locks, CONTENT.highest_token, list(HISTORY)
    if version >= 5:
        locks, highest, history = (*locks, WATCHED), token(6), list(HISTORY_5)
    if version >= 8:
        locks, highest = (*locks, CONFINED), token(7)
    saved = journal.load()
    assert replace(saved, tenants={}) == replace(CONTENT, requests=requests, locks=locks, highest_token=highest)
    holders = {gpu: (lock.owner.process,) for lock in locks for gpu in lock.gpus}
    assert saved.tenants.items() >= ({**holders, **TENANTS} if version >= 9 else holders).items()
    assert journal.history(10) == history
    assert journal.unmet(10) == ([UNMET] if version >= 5 else [])
    journal.commit([LockGranted(lock(100)), LockEnded(lock(100), 1000.0, "released")])
    journal.close()
    with closing(sqlite3.connect(state_dir / "journal.sqlite")) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (LATEST,)


def test_upgrades_go_step_by_step_and_stop_whole(tmp_path: Path) -> None:
    """With steps that no version has: what counts is that each happens once, and all of it or nothing."""
    file = tmp_path / "journal.sqlite"
    first, second = schema_steps()[0], "ALTER TABLE drains ADD COLUMN since REAL;"
    broken = "ALTER TABLE drains RENAME COLUMN reason TO why; ALTER TABLE absent RENAME TO present;"
    open_database(file, [first]).close()

    with pytest.raises(StartupRefused, match="from schema 2 to 3: no such table: absent"):
        open_database(file, [first, second, broken])

    with closing(sqlite3.connect(file)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (2,)
        columns = [row[1] for row in db.execute("PRAGMA table_info(drains)")]
    assert columns == ["gpu", "reason", "drained_by", "drained_at", "since"]
    with closing(open_database(file, [first, second, "DROP TABLE drains;"])) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (3,)
