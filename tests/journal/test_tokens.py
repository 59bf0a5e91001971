"""Tokens never fall: through restarts, boots and power cuts."""

from __future__ import annotations

import math
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from gpulockd.core.actions import LockEnded, LockGranted, QuarantineSet
from gpulockd.core.model import COUNTER_BITS, Lock
from gpulockd.journal import Bounds, SqliteJournal
from tests.support.clock import SetClock

from .conftest import OpenJournal
from .samples import EPOCH, NEXT_BOOT, lock, quarantine, recalled, token

LAST_OF_EPOCH = token((1 << COUNTER_BITS) - 1)


def test_the_highest_token_outlives_its_lock_and_its_history(open_journal: OpenJournal) -> None:
    journal = open_journal(Bounds(math.inf, 0))
    journal.raise_epoch(EPOCH)
    journal.commit([LockGranted(lock(64))])
    journal.commit([LockEnded(lock(64), 1000.0, "released")])
    journal.close()

    assert open_journal().load().highest_token == token(64)


def test_an_epoch_never_falls(journal: SqliteJournal) -> None:
    journal.raise_epoch(EPOCH - 1)

    journal.commit([LockGranted(lock(1))])

    assert journal.load().highest_token == token(1)


def test_the_schema_counts_tokens_as_the_core_does(journal: SqliteJournal) -> None:
    """Its trigger says 32."""
    last = lock(1)
    last.token = LAST_OF_EPOCH
    journal.commit([LockGranted(last)])

    with pytest.raises(sqlite3.IntegrityError, match="was not raised"):
        journal.commit([LockGranted(lock(0, epoch=EPOCH + 1))])


def test_after_a_boot_every_token_of_the_last_epoch_counts_as_given_out(
    journal: SqliteJournal, open_journal: OpenJournal, clock: SetClock
) -> None:
    journal.commit([LockGranted(lock(7))])
    journal.close()
    clock.boot_id = NEXT_BOOT

    reopened = open_journal()

    assert reopened.load().highest_token == LAST_OF_EPOCH
    reopened.close()
    assert open_journal().load().highest_token == LAST_OF_EPOCH, "and stays so for the rest of that boot"


def test_a_power_cut_loses_commits_but_lets_no_token_fall(
    journal: SqliteJournal, tmp_path: Path, clock: SetClock
) -> None:
    """What is sure to be on the disk is what stood in SQLite's log when the epoch was raised."""
    wal, turns = (journal.file.with_name(f"journal.sqlite-{name}") for name in ("wal", "turns"))
    on_disk = wal.stat().st_size
    journal.commit([LockGranted(lock(number)) for number in range(1, 6)])
    journal.load()  # which enters them
    assert wal.stat().st_size > on_disk
    journal.commit([LockGranted(lock(6))])

    after = tmp_path / "after"
    after.mkdir(mode=0o700)
    shutil.copy(journal.file, after / "journal.sqlite")
    (after / "journal.sqlite-wal").write_bytes(wal.read_bytes()[:on_disk])
    shutil.copy(turns, after)
    clock.boot_id = NEXT_BOOT

    with closing(SqliteJournal(after, clock)) as rebooted:
        saved = rebooted.load()

    assert saved.locks == (), "the commits were lost, and nothing is made of what came after them"
    assert saved.highest_token == LAST_OF_EPOCH > token(6)


SYNCS = """
import ctypes, sys
from pathlib import Path
from gpulockd.clock import BootClock
from gpulockd.core.actions import DrainSet, LockGranted
from gpulockd.journal import SqliteJournal
from tests.journal.samples import lock

syncs = ctypes.c_int.in_dll(ctypes.CDLL(None), "syncs")
journal = SqliteJournal(Path(sys.argv[1]), BootClock())
counted = [syncs.value]
journal.raise_epoch(3)
counted.append(syncs.value)
for number in range(1, 21):
    journal.commit([LockGranted(lock(number))])
counted.append(syncs.value)
journal.commit([DrainSet("GPU-a", "fan", "root")])
journal.close()
counted.append(syncs.value)
print(*counted)
"""


def test_only_epochs_wait_for_the_disk(tmp_path: Path) -> None:
    counter = tmp_path / "count_syncs.so"
    source = Path(__file__).with_name("count_syncs.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", counter, source], check=True)
    counted = subprocess.run(
        [sys.executable, "-c", SYNCS, str(tmp_path / "state")],
        env={**os.environ, "LD_PRELOAD": str(counter)},
        stdout=subprocess.PIPE,
        check=True,
    )
    opened, raised, granted, drained = map(int, counted.stdout.split())

    assert raised > opened
    assert granted == raised, "a grant waits for no disk"
    assert drained > granted, "an administrator's word is on the disk soon"


def test_times_of_another_boot_are_moved_onto_this_one(
    journal: SqliteJournal, open_journal: OpenJournal, clock: SetClock
) -> None:
    """By the wall clock: up for 1000 s, then off for 500 s, now up for 20 s: 520 s have passed."""
    journal.commit([LockGranted(recalled(1)), QuarantineSet("GPU-q", quarantine())])
    journal.close()
    clock.boot_id, clock.uptime, clock.booted_at = NEXT_BOOT, 20.0, clock.booted_at + 1500.0

    def look() -> Lock:
        reopened = open_journal()
        (moved,) = reopened.load().locks
        quarantined = reopened.load().quarantines["GPU-q"]
        reopened.close()
        assert (clock.now() - moved.queued_at, clock.now() - moved.granted_at) == (540.0, 530.0)
        assert moved.ends_at - clock.now() == 4590.0 - 1520.0
        assert moved.recall is not None
        assert (clock.now() - moved.recall.since, clock.now() - moved.recall.deadline) == (525.0, 515.0)
        assert moved.beat_at is not None
        assert clock.now() - moved.beat_at == 525.5
        assert clock.now() - quarantined.since == 521.0
        return moved

    assert look() == look(), "they are moved once"

    last = open_journal()
    last.commit([LockEnded(moved, clock.now(), "died") for moved in last.load().locks])
    (ended,) = last.history(1)
    assert (ended.held, ended.ended_at - ended.granted_at, ended.ended_at) == (530.0, 530.0, clock.wall())


def test_a_lock_without_end_has_none_on_another_boot_either(
    journal: SqliteJournal, open_journal: OpenJournal, clock: SetClock
) -> None:
    endless = lock(1)
    endless.ends_at = float("inf")
    journal.commit([LockGranted(endless)])
    journal.close()
    clock.boot_id = NEXT_BOOT

    assert open_journal().load().locks == (endless,)
