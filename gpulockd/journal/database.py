"""The journal's file: opened, found to be sound, and brought up to the present schema."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from ..ports import StartupRefused
from .faults import remedy

APPLICATION_ID = 0x47504C4B
"""`GPLK`, in the header of every journal: tells it from other SQLite files."""

BUSY_SECONDS = 0.2
"""How long a write may wait for somebody else's lock on the file: the event loop waits with it."""

PAGE_BYTES = 1024
"""Of a file that is made here; an older one keeps the size it has. A commit copies every page that it touches into the
log, whole and summed up: with SQLite's own 4 KiB that is most of what a commit costs."""

WAL_BYTES_KEPT = 4 * 1024 * 1024


def schema_steps() -> list[str]:
    """SQL that leads from version n to n + 1, for every n from 0."""
    folder = resources.files(__package__) / "schema"
    files = sorted(int(file.name.removesuffix(".sql")) for file in folder.iterdir() if file.name.endswith(".sql"))
    return [(folder / f"{version}.sql").read_text() for version in files]


def connect(file: Path) -> sqlite3.Connection:
    """A connection in which transactions are begun and ended by hand. The file must be there."""
    return sqlite3.connect(
        f"{file.absolute().as_uri()}?mode=rw",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )


def open_journal(file: Path, steps: Sequence[str] | None = None) -> sqlite3.Connection:
    """Opens the journal, makes it where there is none, and upgrades an older one.

    Raises `StartupRefused` for a file that is damaged, is no journal, or was written by a newer version.
    """
    try:
        os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StartupRefused(
            f"cannot open the journal {file}: {error.strerror}",
            "it must be a plain file that the daemon's user can write",
        ) from error
    db = connect(file)
    try:
        version = _version(db, file)
        _prepare(db, file)
        _upgrade(db, file, version, schema_steps() if steps is None else steps)
        _check(db)
    except sqlite3.DatabaseError as error:
        db.close()
        if way_out := remedy(error, file):
            raise StartupRefused(f"cannot open the journal {file}: {error}", way_out) from error
        raise damaged(file, error) from error
    except BaseException:
        db.close()
        raise
    return db


def damaged(file: Path, reason: object) -> StartupRefused:
    return StartupRefused(
        f"the journal {file} is damaged: {reason}",
        f"put a sound copy in its place, or, once no worker uses a GPU any more, start anew: mv {file} {file}.damaged "
        f"(this forgets every lock; without Redis, fencing tokens begin again)",
    )


def _prepare(db: sqlite3.Connection, file: Path) -> None:
    db.execute(f"PRAGMA page_size = {PAGE_BYTES}")
    mode: str = db.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise StartupRefused(
            f"the file system of {file} has no shared memory, which SQLite's write-ahead log needs",
            "name a directory on a local disk with daemon.state_dir",
        )
    db.execute("PRAGMA synchronous = NORMAL")
    # Checkpoints wait for the disk: `Checkpointer` makes them, off the event loop.
    db.execute("PRAGMA wal_autocheckpoint = 0")
    db.execute(f"PRAGMA journal_size_limit = {WAL_BYTES_KEPT}")


def _upgrade(db: sqlite3.Connection, file: Path, version: int, steps: Sequence[str]) -> None:
    """Each step is one transaction, together with the version that it leads to."""
    if version > len(steps):
        raise StartupRefused(
            f"the journal {file} was written by a newer gpulockd, schema {version}; this one knows up to {len(steps)}",
            f"upgrade gpulockd, or, once no worker uses a GPU any more, move {file} away",
        )
    for number, step in enumerate(steps[version:], start=version + 1):
        try:
            db.executescript(
                f"BEGIN IMMEDIATE; {step}\n"
                f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {number}; COMMIT;"
            )
        except sqlite3.OperationalError as error:
            raise StartupRefused(
                f"cannot bring the journal {file} from schema {number - 1} to {number}: {error}",
                remedy(error, file)
                or "the journal is as it was: go back to the gpulockd that wrote it, and report this",
            ) from error


def _version(db: sqlite3.Connection, file: Path) -> int:
    """0 for an empty file."""
    application: int = db.execute("PRAGMA application_id").fetchone()[0]
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    tables: int = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if application == APPLICATION_ID or (application, version, tables) == (0, 0, 0):
        return version
    raise StartupRefused(
        f"{file} is a SQLite file of something else, not a journal of gpulockd",
        "move it away, or name another directory with daemon.state_dir",
    )


def _check(db: sqlite3.Connection) -> None:
    fault: str = db.execute("PRAGMA quick_check(1)").fetchone()[0]
    if fault != "ok":
        raise sqlite3.DatabaseError(fault)
    if db.execute("SELECT 1 FROM lock_gpus WHERE token NOT IN (SELECT token FROM locks)").fetchone() is not None:
        raise sqlite3.DatabaseError("GPUs of a lock that is not there")
