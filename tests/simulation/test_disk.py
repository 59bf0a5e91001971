"""The simulated disk, held to the SQLite journal: the same records leave the same behind, or are refused by both."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from gpulockd.core.actions import LockEnded, LockGranted, Record
from gpulockd.journal import SqliteJournal
from gpulockd.ports import Saved
from tests.journal.samples import EPOCH, lock
from tests.support.clock import SetClock

from .disk import Disk
from .world import World


class Mirrored(Disk):
    """Gives every commit to a real journal, too, and compares what is kept then."""

    def __init__(self, journal: SqliteJournal) -> None:
        super().__init__()
        self.journal = journal
        self.commits = 0

    def write(self, records: Sequence[Record]) -> None:
        super().write(records)
        self.journal.raise_epoch(self.epoch)
        self.journal.commit(records)
        self.commits += 1
        assert _kept(self.journal.load()) == _kept(self.load())


def _kept(saved: Saved) -> tuple[object, ...]:
    return saved.locks, saved.requests, saved.quarantines, saved.drains, saved.highest_token


@pytest.fixture
def journals(tmp_path: Path) -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


@pytest.mark.parametrize("seed", range(4))
def test_a_world_leaves_the_same_on_either(seed: int, journals: ExitStack, tmp_path: Path) -> None:
    world = World(seed)
    disks = []
    for host in world.hosts:
        journal = journals.enter_context(closing(SqliteJournal(tmp_path / host.name, SetClock())))
        disks.append(Mirrored(journal))
        host.disk = disks[-1]
    assert world.run().findings == ()
    assert sum(disk.commits for disk in disks) > 20


@pytest.mark.parametrize(
    ("before", "refused"),
    [
        pytest.param([LockGranted(lock(1, "GPU-0"))], LockGranted(lock(2, "GPU-0")), id="a second lock on a GPU"),
        pytest.param([LockGranted(lock(2, "GPU-0"))], LockGranted(lock(1, "GPU-1")), id="a smaller token"),
        pytest.param([], LockGranted(lock(1, epoch=EPOCH + 1)), id="an epoch that was not raised"),
        pytest.param(
            [LockGranted(lock(1, "GPU-0")), LockEnded(lock(1, "GPU-0"), 1000.0, "released")], None, id="nothing"
        ),
    ],
)
def test_either_refuses_the_same(before: list[Record], refused: Record | None, tmp_path: Path) -> None:
    with closing(SqliteJournal(tmp_path / "state", SetClock())) as journal:
        disk = Disk(epoch=EPOCH)
        journal.raise_epoch(EPOCH)
        journal.commit(before)
        disk.write(before)
        if refused is not None:
            for keeper in (journal.commit, disk.write):
                with pytest.raises(sqlite3.IntegrityError):
                    keeper([refused])
        # Given again, as after a commit of which nobody knows whether it was done.
        journal.commit(before)
        disk.write(before)
        assert _kept(journal.load()) == _kept(disk.load())
