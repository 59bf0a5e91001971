"""What is committed is there at the next start, all of it or nothing."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

import pytest

from gpulockd.core.actions import (
    DrainSet,
    LockChanged,
    LockEnded,
    LockGranted,
    QuarantineSet,
    Record,
    RequestLeft,
    RequestWaits,
)
from gpulockd.core.model import LockState
from gpulockd.journal import SqliteJournal
from gpulockd.ports import Journal, Saved
from tests.support.clock import SetClock

from .conftest import OpenJournal
from .samples import EPOCH, NEXT_BOOT, lock, quarantine, recalled, request, token


def test_it_is_what_the_engine_expects(journal: SqliteJournal) -> None:
    _: Journal = journal


def test_a_new_journal_is_empty(open_journal: OpenJournal) -> None:
    assert open_journal().load() == Saved()


def test_granted_locks_come_back_in_the_order_of_their_tokens(
    journal: SqliteJournal, open_journal: OpenJournal
) -> None:
    journal.commit([LockGranted(lock(1, "GPU-b", "GPU-a")), LockGranted(recalled(2))])
    journal.commit([LockGranted(lock(3, "GPU-c"))])
    journal.close()

    saved = open_journal().load()

    assert saved.locks == (lock(1, "GPU-b", "GPU-a"), recalled(2), lock(3, "GPU-c"))
    assert saved.highest_token == token(3)


def test_requests_come_back_in_their_order_until_they_leave(journal: SqliteJournal) -> None:
    journal.commit([RequestWaits(request(3)), RequestWaits(request(1, queued_at=990.0)), RequestWaits(request(2))])
    assert journal.load().requests == (request(2), request(3), request(1, queued_at=990.0))

    overtaken = replace(request(2), overtaken=5)
    journal.commit([RequestWaits(overtaken), RequestLeft("R3-3"), RequestLeft("R3-3")])

    assert journal.load().requests == (overtaken, request(1, queued_at=990.0))


def test_nobody_waits_over_a_boot(open_journal: OpenJournal, clock: SetClock) -> None:
    journal = open_journal()
    journal.commit([RequestWaits(request(1))])
    journal.close()
    clock.boot_id = NEXT_BOOT

    assert open_journal().load().requests == ()


def test_on_which_connection_a_lock_is_held_and_a_request_waits_is_kept(journal: SqliteJournal) -> None:
    waiting = replace(request(2), session=18, msgid=2**32 - 1)
    journal.commit([LockGranted(replace(lock(1), session=17)), RequestWaits(waiting)])
    journal.commit([LockChanged(replace(lock(1), session=None))])

    assert journal.load().locks[0].session is None
    assert journal.load().requests == (waiting,)


def test_a_changed_lock_is_written_over(journal: SqliteJournal) -> None:
    journal.commit([LockGranted(lock(1))])
    changed = replace(recalled(1), reattach=None, ends_at=9999.0, state=LockState.KILLING)

    journal.commit([LockChanged(changed)])

    assert journal.load().locks == (changed,)


def test_an_ended_lock_is_gone_and_its_gpu_can_be_granted_in_the_same_turn(journal: SqliteJournal) -> None:
    journal.commit([LockGranted(lock(1, "GPU-a"))])

    journal.commit([LockEnded(lock(1, "GPU-a"), 1000.0, "released"), LockGranted(lock(2, "GPU-a"))])

    assert journal.load().locks == (lock(2, "GPU-a"),)


def test_quarantines_are_set_replaced_and_lifted(journal: SqliteJournal) -> None:
    journal.commit([QuarantineSet("GPU-a", quarantine("L3-1")), QuarantineSet("GPU-b", quarantine("L3-2"))])
    journal.commit([QuarantineSet("GPU-a", quarantine("L3-3")), QuarantineSet("GPU-b", None)])

    assert journal.load().quarantines == {"GPU-a": quarantine("L3-3")}


def test_drains_are_set_replaced_and_lifted(journal: SqliteJournal) -> None:
    journal.commit([DrainSet("GPU-a", "fan is loud", "root"), DrainSet("GPU-b", "", "ada")])
    journal.commit([DrainSet("GPU-a", "fan is broken", "root"), DrainSet("GPU-b", None, "ada")])

    assert journal.load().drains == {"GPU-a": "fan is broken"}


def test_no_records_are_no_transaction(journal: SqliteJournal) -> None:
    before = journal.load()
    journal.commit([])
    assert journal.load() == before


def test_the_same_records_may_be_given_again(journal: SqliteJournal) -> None:
    records: list[Record] = [
        LockGranted(lock(1, "GPU-a")),
        LockEnded(lock(1, "GPU-a"), 1000.0, "released"),
        LockGranted(lock(2, "GPU-a", "GPU-b")),
        QuarantineSet("GPU-c", quarantine()),
        DrainSet("GPU-d", "fan", "root"),
    ]
    journal.commit(records)
    saved, history = journal.load(), journal.history(10)

    journal.commit(records)

    assert journal.load() == saved
    assert journal.history(10) == history


def test_two_live_locks_on_one_gpu_are_refused_with_everything_beside_them(journal: SqliteJournal) -> None:
    journal.commit([LockGranted(lock(1, "GPU-a"))])

    with pytest.raises(sqlite3.IntegrityError, match=r"lock_gpus\.gpu"):
        journal.commit([LockGranted(lock(2, "GPU-b")), LockGranted(lock(3, "GPU-a"))])

    tenants = {"GPU-a": (lock(1).owner.process,)}
    assert journal.load() == Saved(locks=(lock(1, "GPU-a"),), highest_token=token(1), tenants=tenants)


def test_a_token_that_is_not_above_every_earlier_one_is_refused(journal: SqliteJournal) -> None:
    journal.commit([LockGranted(lock(5))])

    with pytest.raises(sqlite3.IntegrityError, match="not above every earlier one"):
        journal.commit([LockGranted(lock(4))])


def test_a_token_of_an_epoch_that_was_not_raised_is_refused(journal: SqliteJournal) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="was not raised"):
        journal.commit([LockGranted(lock(1, epoch=EPOCH + 1))])
    journal.raise_epoch(EPOCH + 1)
    journal.commit([LockGranted(lock(1, epoch=EPOCH + 1))])

    assert journal.load().highest_token == token(1, EPOCH + 1)


def test_a_lock_that_ended_stays_ended(journal: SqliteJournal) -> None:
    journal.commit([LockGranted(lock(1, "GPU-a"))])
    journal.commit([LockEnded(lock(1, "GPU-a"), 1000.0, "released"), LockGranted(lock(2, "GPU-a"))])

    journal.commit([LockChanged(lock(1, "GPU-a"))])

    assert journal.load().locks == (lock(2, "GPU-a"),)


def test_the_file_goes_on_when_its_name_is_deleted(journal: SqliteJournal, open_journal: OpenJournal) -> None:
    journal.file.unlink()

    journal.commit([LockGranted(lock(1))])

    assert journal.load().locks == (lock(1),)
    journal.close()
    assert open_journal().load() == Saved()
