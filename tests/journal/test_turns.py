"""Turns are appended first and entered into the tables later, and nobody can tell the difference."""

from __future__ import annotations

import errno
import os
import sqlite3
from contextlib import closing
from typing import Any

import pytest

from gpulockd.core.actions import DrainSet, LockChanged, LockEnded, LockGranted, QuarantineSet
from gpulockd.journal import SqliteJournal
from gpulockd.journal.sqlite import LOG, TURNS_TO_ENTER
from gpulockd.journal.turns import START, TurnLog
from gpulockd.ports import Unavailable

from .conftest import OpenJournal
from .samples import lock, quarantine, recalled, token


def rows(journal: SqliteJournal, table: str) -> int:
    """What another process would find."""
    with closing(sqlite3.connect(f"{journal.file.as_uri()}?mode=ro", uri=True)) as db:
        found: int = db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        return found


def logged(journal: SqliteJournal) -> int:
    """Turns that the next daemon would find in the log."""
    with closing(TurnLog(journal.file.with_name(LOG), make=False)) as log:
        return len(list(log.after(journal._number - len(journal._pending))))


def turns(journal: SqliteJournal, numbers: range) -> None:
    for number in numbers:
        journal.commit([LockGranted(lock(number)), LockEnded(lock(number), 1000.0, "released")])


def test_turns_are_entered_when_there_are_enough(journal: SqliteJournal) -> None:
    turns(journal, range(1, TURNS_TO_ENTER))
    assert (logged(journal), rows(journal, "history")) == (TURNS_TO_ENTER - 1, 0)

    turns(journal, range(TURNS_TO_ENTER, TURNS_TO_ENTER + 1))

    assert (logged(journal), rows(journal, "history")) == (0, TURNS_TO_ENTER)
    assert journal.file.with_name(LOG).stat().st_size == START, "the log begins anew"


def test_an_administrators_word_is_entered_at_once(journal: SqliteJournal) -> None:
    journal.commit([LockGranted(lock(1))])
    journal.commit([DrainSet("GPU-a", "fan", "root")])
    assert (logged(journal), rows(journal, "locks"), rows(journal, "drains")) == (0, 1, 1)


def test_history_has_what_is_entered_and_what_is_not(journal: SqliteJournal) -> None:
    turns(journal, range(1, TURNS_TO_ENTER + 3))
    latest = [ended.token for ended in journal.history(5)]
    assert latest == [token(TURNS_TO_ENTER + 2 - place) for place in range(5)]
    assert len({ended.token for ended in journal.history(1000)}) == len(journal.history(1000)) == TURNS_TO_ENTER + 2


def test_what_another_daemon_left_is_taken_up(journal: SqliteJournal, open_journal: OpenJournal) -> None:
    journal.commit([LockGranted(lock(1, "GPU-a")), QuarantineSet("GPU-q", quarantine())])
    journal.commit([LockEnded(lock(1, "GPU-a"), 1000.0, "died"), LockGranted(lock(2, "GPU-a")), LockGranted(lock(3))])
    journal.commit([LockChanged(recalled(3)), QuarantineSet("GPU-q", None)])
    journal._try_to_enter_pending = lambda: None  # type: ignore[method-assign]  # as if it were killed
    journal.close()

    saved = open_journal().load()

    assert saved.locks == (lock(2, "GPU-a"), recalled(3))
    assert saved.quarantines == {}
    assert saved.highest_token == token(3)


def test_turns_that_cannot_be_entered_wait(journal: SqliteJournal, caplog: pytest.LogCaptureFixture) -> None:
    """A commit has succeeded by then; only the tables are behind."""
    journal.commit([LockGranted(lock(1))])
    appended = journal._execute

    def refuse(statement: str, *parameters: Any) -> sqlite3.Cursor:
        if statement.startswith("BEGIN"):
            raise sqlite3.OperationalError("disk I/O error")
        return appended(statement, *parameters)

    journal._execute = refuse
    journal.commit([DrainSet("GPU-a", "fan", "root")])
    assert "2 turns cannot be entered into the tables yet" in caplog.messages[0]
    assert logged(journal) == 2

    journal._execute = appended
    assert journal.load().drains == {"GPU-a": "fan"}
    assert logged(journal) == 0


def test_a_commit_that_failed_and_was_done_all_the_same_is_done_once(
    journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine gives the same records again, and others with them."""
    done = os.pwrite

    def fail_late(descriptor: int, data: bytes, offset: int) -> int:
        done(descriptor, data, offset)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "pwrite", fail_late)
    with pytest.raises(Unavailable, match="Input/output error; see what the kernel says"):
        journal.commit([LockGranted(lock(1)), LockEnded(lock(1), 1000.0, "released")])
    monkeypatch.undo()
    journal.commit([LockGranted(lock(1)), LockEnded(lock(1), 1000.0, "released"), LockGranted(lock(2))])

    assert logged(journal) == 1
    assert journal.load().locks == (lock(2),)
    assert [ended.token for ended in journal.history(5)] == [token(1)]
