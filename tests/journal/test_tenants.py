"""Who has had a lock on a GPU is known to the next daemon until a look has not found it, and no longer than a boot."""

from __future__ import annotations

import pytest

from gpulockd.core.actions import LockChanged, LockEnded, LockGranted, TenantsSeen
from gpulockd.core.model import Process
from gpulockd.journal import SqliteJournal, tenants
from tests.support.clock import BOOT, SetClock

from .conftest import OpenJournal
from .samples import NEXT_BOOT, lock, owner

GPU = "GPU-a"


def held(journal: SqliteJournal, number: int, pid: int) -> None:
    """Somebody has a lock on the GPU, and lets it go."""
    short = lock(number, GPU, pid=pid)
    journal.commit([LockGranted(short)])
    journal.commit([LockChanged(short), LockEnded(short, 1000.0, "released")])


def of(pid: int) -> Process:
    return owner(pid).process


def test_whoever_is_granted_a_lock_is_known_by_that(journal: SqliteJournal, open_journal: OpenJournal) -> None:
    held(journal, 1, pid=11)
    held(journal, 2, pid=12)
    held(journal, 3, pid=11)
    journal.commit([LockGranted(lock(4, GPU, "GPU-b", pid=13))])
    journal.close()

    found = open_journal().load().tenants
    assert found == {GPU: (of(11), of(12), of(13)), "GPU-b": (of(13),)}


@pytest.mark.parametrize("entered", [False, True], ids=["in one go", "after they were entered"])
def test_a_look_leaves_those_that_it_has_found(journal: SqliteJournal, entered: bool) -> None:
    held(journal, 1, pid=11)
    held(journal, 2, pid=12)
    if entered:
        journal.load()

    journal.commit([TenantsSeen(GPU, {12: 987654, 4711: 99})])
    held(journal, 3, pid=13)

    assert journal.load().tenants == {GPU: (of(12), Process(4711, 99, BOOT), of(13))}
    journal.commit([TenantsSeen(GPU, {})])
    assert journal.load().tenants == {}


def test_a_pid_that_is_used_again_is_the_later_process(journal: SqliteJournal) -> None:
    held(journal, 1, pid=11)
    journal.load()

    journal.commit([TenantsSeen(GPU, {11: 1_000_000})])

    assert journal.load().tenants == {GPU: (Process(11, 1_000_000, BOOT),)}


def test_one_that_cannot_be_seen_is_not_kept(journal: SqliteJournal) -> None:
    """Nothing would tell it from the next process with its pid."""
    journal.commit([TenantsSeen(GPU, {0: 0, 11: 0})])

    assert journal.load().tenants == {}


def test_there_are_never_more_than_so_many_and_the_latest_stay(
    journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tenants, "KEPT", 3)
    for number in range(1, 6):
        held(journal, number, pid=number)
        journal.load()
    held(journal, 6, pid=3)

    assert journal.load().tenants == {GPU: (of(4), of(5), of(3))}


def test_none_outlives_the_boot(journal: SqliteJournal, open_journal: OpenJournal, clock: SetClock) -> None:
    held(journal, 1, pid=11)
    journal.close()
    clock.boot_id = NEXT_BOOT

    assert open_journal().load().tenants == {}
