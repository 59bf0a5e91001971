"""What is kept of locks that ended, how much of it, and how it is found."""

from __future__ import annotations

import math
import sqlite3
from contextlib import closing
from typing import Any

import pytest

from gpulockd.core.actions import LockEnded, LockGranted, Record, RequestUnmet
from gpulockd.core.model import Lock, Request
from gpulockd.history import Sought, Stranger, Total
from gpulockd.journal import Bounds, SqliteJournal
from tests.support.clock import SetClock

from .conftest import OpenJournal
from .samples import EPOCH, lock, request, token, watched


def end(journal: SqliteJournal, *locks: Lock, how: str = "released", by: str = "") -> None:
    for each in locks:
        records: list[Record] = [LockGranted(each), LockEnded(each, 1000.0, how, by)]
        journal.commit(records)


def numbers(journal: SqliteJournal, limit: int = 100, **sought: Any) -> list[int]:
    return [ended.token - token(0) for ended in journal.history(limit, Sought(**sought))]


def leave(journal: SqliteJournal, *requests: Request, how: str = "timeout", at: float = 1000.0, times: int = 1) -> None:
    """The requests end without a lock."""
    journal.commit([RequestUnmet(request, at, how, times) for request in requests])


def test_an_ended_lock_is_described_for_people(journal: SqliteJournal, clock: SetClock) -> None:
    end(journal, lock(1, "GPU-b", "GPU-a"), how="revoked", by="root")

    (ended,) = journal.history(10)

    assert ended.gpus == ("GPU-b", "GPU-a")
    assert (ended.user, ended.uid, ended.pid, ended.task) == ("ada", 1000, 4242, "ocr")
    assert (ended.waited, ended.held) == (10.0, 10.0)
    assert (ended.granted_at, ended.ended_at) == (clock.booted_at + 990.0, clock.booted_at + 1000.0)
    assert (ended.how, ended.by) == ("revoked", "root")


def test_the_latest_end_comes_first(journal: SqliteJournal) -> None:
    journal.commit([LockGranted(lock(number)) for number in (1, 2, 3)])
    for number in (2, 3, 1):
        journal.commit([LockEnded(lock(number), 1000.0, "released")])

    assert numbers(journal) == [1, 3, 2]
    assert numbers(journal, limit=2) == [1, 3]
    assert numbers(journal, limit=0) == numbers(journal, limit=-1) == []


def test_it_can_be_narrowed_to_a_gpu_a_user_and_a_task(journal: SqliteJournal) -> None:
    end(
        journal,
        lock(1, "GPU-a", task="ocr"),
        lock(2, "GPU-b", "GPU-a", task="ocr"),
        lock(3, "GPU-ab", task="transcribe"),
    )

    assert numbers(journal, gpu="GPU-a") == [2, 1]
    assert numbers(journal, gpu="GPU-") == [], "a part of a UUID is none"
    assert numbers(journal, task="transcribe") == [3]
    assert numbers(journal, user="ada") == [3, 2, 1]
    assert numbers(journal, user="ada", gpu="GPU-a", task="ocr", limit=1) == [2]
    assert numbers(journal, user="bob") == []
    assert numbers(journal, task="ocr' OR '1'='1") == []


def test_it_can_be_narrowed_to_an_end_and_a_time(journal: SqliteJournal, clock: SetClock) -> None:
    journal.commit([LockGranted(lock(number)) for number in range(1, 5)])
    for number, how in enumerate(("released", "died", "max-hold", "released"), 1):
        journal.commit([LockEnded(lock(number), 1000.0 + number, how)])

    assert numbers(journal, how="released") == [4, 1]
    assert numbers(journal, since=clock.booted_at + 1002) == [4, 3, 2]
    assert numbers(journal, until=clock.booted_at + 1002) == [1]
    assert numbers(journal, since=clock.booted_at + 1002, until=clock.booted_at + 1004, how="died") == [2]


def test_what_the_driver_saw_is_kept(journal: SqliteJournal) -> None:
    end(journal, watched(1), lock(2))

    unseen, seen = journal.history(2)

    assert (seen.watched, seen.idle, seen.peak_memory) == (10.0, 5.0, 3 << 30)
    assert seen.strangers == (Stranger(666, "eve", "python miner.py"),)
    assert (unseen.watched, unseen.idle, unseen.peak_memory, unseen.strangers) == (0.0, 0.0, None, ())


def test_so_is_who_got_no_lock(journal: SqliteJournal, clock: SetClock) -> None:
    leave(journal, request(1), request(2, task="transcribe"))
    leave(journal, request(3), how="busy", times=40)

    last, *others = journal.unmet(10)

    assert (last.how, last.times, last.request) == ("busy", 40, request(3).id)
    assert (last.user, last.uid, last.pid, last.wanted) == ("ada", 1000, 4242, 2)
    assert (last.waited, last.ended_at) == (15.0, clock.booted_at + 1000.0)
    assert [(unmet.task, unmet.how, unmet.times) for unmet in others] == [
        ("transcribe", "timeout", 1),
        ("ocr", "timeout", 1),
    ]
    assert [unmet.task for unmet in journal.unmet(10, Sought(how="timeout", task="ocr"))] == ["ocr"]
    assert journal.unmet(10, Sought(gpu="GPU-1")) == [], "it never had one"
    assert len(journal.unmet(1)) == 1
    assert numbers(journal) == []


def test_totals_are_of_a_user_and_a_task(journal: SqliteJournal) -> None:
    end(journal, watched(1), lock(2, "GPU-a", "GPU-b"), lock(3, task="transcribe"))
    end(journal, lock(4), how="max-hold")
    leave(journal, request(1), request(2))
    leave(journal, request(3), how="busy", times=40)
    leave(journal, request(4, task="train"), how="cancelled")
    expected = [
        Total(
            user="ada",
            task="ocr",
            locks=3,
            held=30.0,
            gpu_time=40.0,
            waited=30.0,
            watched=10.0,
            idle=5.0,
            peak_memory=3 << 30,
            lost=1,
            unmet=42,
            timeouts=2,
        ),
        Total("ada", "transcribe", locks=1, held=10.0, gpu_time=10.0, waited=10.0),
        Total("ada", "train", unmet=1),
    ]

    assert journal.totals() == expected, "of turns that are not entered yet"
    journal.load()  # which enters them
    assert journal.totals() == expected, "of the tables"
    end(journal, lock(5, task="transcribe"))
    assert journal.totals(Sought(task="transcribe")) == [
        Total("ada", "transcribe", locks=2, held=20.0, gpu_time=20.0, waited=20.0)
    ], "of both"
    assert [total.unmet for total in journal.totals(Sought(gpu="GPU-1"))] == [0]


def test_it_is_bounded_and_loses_the_oldest(open_journal: OpenJournal) -> None:
    journal = open_journal(Bounds(math.inf, 100))
    journal.raise_epoch(EPOCH)
    end(journal, *(lock(number) for number in range(1, 513)))
    leave(journal, *(request(number) for number in range(1, 513)))

    kept, unmet = numbers(journal, limit=1000), [each.request for each in journal.unmet(1000)]

    assert kept == list(range(512, 512 - len(kept), -1))
    assert 100 <= len(kept) < 164
    assert unmet[:2] == [request(512).id, request(511).id]
    assert 100 <= len(unmet) <= 512, "one turn brought them all"
    journal.load()
    assert len(journal.unmet(1000)) == 100
    assert len(kept) == len(numbers(journal, limit=1000)), "neither pushes the other out"


def test_what_is_too_old_is_neither_shown_nor_kept(open_journal: OpenJournal, clock: SetClock) -> None:
    journal = open_journal(Bounds(3600.0, 100))
    journal.raise_epoch(EPOCH)
    end(journal, lock(1))
    leave(journal, request(1))
    clock.uptime += 3000
    journal.commit([LockGranted(lock(2)), LockEnded(lock(2), clock.uptime, "released")])
    assert numbers(journal) == [2, 1]

    clock.uptime += 601
    assert numbers(journal) == [2]
    assert journal.unmet(10) == []
    assert numbers(journal, since=0.0) == [2], "whoever asks for more gets no more"
    journal.load()
    with closing(sqlite3.connect(journal.file)) as db:
        assert db.execute("SELECT count(*) FROM history").fetchone() == (1,)
        assert db.execute("SELECT count(*) FROM unmet").fetchone() == (0,)

    clock.uptime += 3600
    end(journal, lock(3))
    assert numbers(journal) == [], "it ended when the clock stood at 1000"


def test_a_long_question_keeps_no_commit_waiting(journal: SqliteJournal) -> None:
    """Readers and the writer have connections of their own: a commit goes through while a question is answered."""
    end(journal, lock(1))
    with journal._past._moment() as (db, turns):
        rows = db.execute("SELECT * FROM meta")
        end(journal, lock(2))
        journal._enter_pending()
        assert numbers(journal) == [2, 1]
        assert rows.fetchone() is not None
        assert db.execute("SELECT count(*) FROM history").fetchone() == (0,), "the question is about one moment"
        assert len(turns) == 1


def test_turns_that_are_entered_while_it_is_asked_are_told_once(
    journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    end(journal, lock(1), lock(2))
    before = tuple(journal._pending)
    journal._enter_pending()
    end(journal, lock(3))
    monkeypatch.setattr(journal._past, "_pending", lambda: (*before, *journal._pending))
    assert numbers(journal) == [3, 2, 1]


def test_it_outlives_a_restart(journal: SqliteJournal, open_journal: OpenJournal) -> None:
    end(journal, lock(1), lock(2))
    leave(journal, request(1))
    before = journal.history(10), journal.unmet(10), journal.totals()
    journal.close()

    again = open_journal()
    assert (again.history(10), again.unmet(10), again.totals()) == before
