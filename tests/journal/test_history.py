"""What is kept of locks that ended, how much of it, and how it is found."""

from __future__ import annotations

from gpulockd.core.actions import LockEnded, LockGranted, Record
from gpulockd.core.model import Lock
from gpulockd.journal import SqliteJournal

from .conftest import OpenJournal
from .samples import EPOCH, SetClock, lock, token


def end(journal: SqliteJournal, *locks: Lock, how: str = "released", by: str = "") -> None:
    for each in locks:
        records: list[Record] = [LockGranted(each), LockEnded(each, 1000.0, how, by)]
        journal.commit(records)


def numbers(journal: SqliteJournal, limit: int = 100, **filters: str) -> list[int]:
    return [ended.token - token(0) for ended in journal.history(limit, **filters)]


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


def test_it_is_bounded_and_loses_the_oldest(open_journal: OpenJournal) -> None:
    journal = open_journal(history_rows=100)
    journal.raise_epoch(EPOCH)
    end(journal, *(lock(number) for number in range(1, 513)))

    kept = numbers(journal, limit=1000)

    assert kept == list(range(512, 512 - len(kept), -1))
    assert 100 <= len(kept) < 164


def test_it_outlives_a_restart(journal: SqliteJournal, open_journal: OpenJournal) -> None:
    end(journal, lock(1), lock(2))
    before = journal.history(10)
    journal.close()

    assert open_journal().history(10) == before
