"""The log of turns: its torn end is cut off, and no other damage, nor another journal's log, is taken for a journal."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from gpulockd.core.actions import LockEnded, LockGranted
from gpulockd.journal import SqliteJournal
from gpulockd.journal.sqlite import LOG
from gpulockd.journal.turns import START, TurnLog
from gpulockd.ports import StartupRefused
from tests.support.clock import SetClock

from .samples import EPOCH, NEXT_BOOT, lock

TURNS = 3


@pytest.fixture
def log(state_dir: Path, clock: SetClock, tmp_path: Path) -> Path:
    """The log of a journal whose daemon was killed after three grants."""
    return killed(state_dir, clock, tmp_path / "moment") / LOG


def killed(state_dir: Path, clock: SetClock, moment: Path) -> Path:
    """Leaves the directory as SIGKILL would: with what was written, and nothing that a close does."""
    with closing(SqliteJournal(state_dir, clock)) as journal:
        journal.raise_epoch(EPOCH)
        for number in range(1, TURNS + 1):
            journal.commit([LockGranted(lock(number))])
        shutil.copytree(state_dir, moment)
    shutil.rmtree(state_dir)
    moment.rename(state_dir)
    return state_dir


def locks(state_dir: Path, clock: SetClock) -> list[int]:
    """The numbers of those that the next daemon finds."""
    with closing(SqliteJournal(state_dir, clock)) as journal:
        return [int(each.id.partition("-")[2]) for each in journal.load().locks]


def ends(log: Path) -> list[int]:
    """Where each turn of the log ends."""
    with closing(TurnLog(log, make=False)) as opened:
        return [opened.size for _ in opened.after(0)]


def test_a_write_that_was_cut_short_anywhere_is_cut_off(
    log: Path, state_dir: Path, clock: SetClock, tmp_path: Path
) -> None:
    (*_, last_begins, end) = ends(log)
    for length in {last_begins + 1, last_begins + 19, last_begins + 20, last_begins + 21, end - 1}:
        torn = tmp_path / f"torn-{length}"
        shutil.copytree(state_dir, torn)
        os.truncate(torn / LOG, length)
        assert locks(torn, clock) == [1, 2]


def test_what_is_written_after_a_cut_is_read(log: Path, state_dir: Path, clock: SetClock, tmp_path: Path) -> None:
    os.truncate(log, ends(log)[-1] - 1)
    with closing(SqliteJournal(state_dir, clock)) as journal:
        journal.commit([LockGranted(lock(4))])
        shutil.copytree(state_dir, tmp_path / "moment")

    assert locks(tmp_path / "moment", clock) == [1, 2, 4]


def overwrite(log: Path, at: int) -> None:
    with log.open("r+b") as opened:
        opened.seek(at)
        (byte,) = opened.read(1)
        opened.seek(at)
        opened.write(bytes([byte ^ 0x40]))


def damage_a_head(log: Path) -> None:
    overwrite(log, ends(log)[0] + 9)


def damage_entries(log: Path) -> None:
    overwrite(log, ends(log)[0] + 30)


def damage_the_last_entries(log: Path) -> None:
    overwrite(log, ends(log)[-1] - 1)


def take_a_turn_out(log: Path) -> None:
    first, second, _ = ends(log)
    content = log.read_bytes()
    log.write_bytes(content[:first] + content[second:])


def put_another_in_its_place(log: Path) -> None:
    overwrite(log, START - 1)


def take_it_away(log: Path) -> None:
    log.unlink()


DAMAGES = [
    damage_a_head,
    damage_entries,
    damage_the_last_entries,
    take_a_turn_out,
    put_another_in_its_place,
    take_it_away,
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_refuses_the_start_until_somebody_says_to_go_on_without(
    log: Path, state_dir: Path, clock: SetClock, damage: Callable[[Path], None]
) -> None:
    damage(log)
    before = log.read_bytes() if log.exists() else None

    with pytest.raises(StartupRefused):
        SqliteJournal(state_dir, clock)
    assert (log.read_bytes() if log.exists() else None) == before, "it is left for whoever can mend it"
    with pytest.raises(StartupRefused, match=f"cannot be read from {log}: ") as refusal:
        SqliteJournal(state_dir, clock)
    _, _, way_out = refusal.value.hint.partition("go on without it: ")
    subprocess.run(way_out.partition(" (")[0], shell=True, check=True)
    assert locks(state_dir, clock) == []


@pytest.mark.parametrize("damage", DAMAGES)
def test_after_a_boot_what_is_left_is_enough(
    log: Path, state_dir: Path, clock: SetClock, damage: Callable[[Path], None]
) -> None:
    """A power cut may leave the file in any state, and nobody who held anything lives."""
    damage(log)
    clock.boot_id = NEXT_BOOT

    assert locks(state_dir, clock) in ([], [1], [1, 2])
    assert locks(state_dir, clock) in ([], [1], [1, 2]), "and the next start finds all well"


def test_the_log_of_a_journal_that_was_taken_away_is_kept_and_not_applied(
    log: Path, state_dir: Path, clock: SetClock, caplog: pytest.LogCaptureFixture
) -> None:
    content = log.read_bytes()
    for file in state_dir.glob("journal.sqlite*"):
        if file != log:
            file.unlink()

    assert locks(state_dir, clock) == []

    assert (state_dir / f"{LOG}.1").read_bytes() == content
    assert f"it is kept as {state_dir / LOG}.1" in caplog.messages[0]


def test_an_older_copy_of_the_journal_is_refused(state_dir: Path, clock: SetClock, tmp_path: Path) -> None:
    with closing(SqliteJournal(state_dir, clock)) as journal:
        journal.raise_epoch(EPOCH)
        older = tmp_path / "older"
        shutil.copytree(state_dir, older)
        journal.commit([LockGranted(lock(1))])
        journal.load()  # which enters it
        journal.commit([LockGranted(lock(2))])
        shutil.copy(state_dir / LOG, older)

    with pytest.raises(StartupRefused, match="the journal is an older copy"):
        SqliteJournal(older, clock)


def test_a_journal_that_may_have_forgotten_something_is_another_one(
    log: Path, state_dir: Path, clock: SetClock, tmp_path: Path
) -> None:
    def journal() -> bytes:
        with closing(SqliteJournal(state_dir, clock)) as opened:
            return opened.load().journal

    shutil.copyfile(log, tmp_path / "log")
    ids = [journal(), journal()]
    assert ids[0] == ids[1] != b""
    shutil.copyfile(tmp_path / "log", log)  # beside an older copy of its journal, as it were
    ids += [journal(), journal()]
    assert ids[1] != ids[2] == ids[3]
    killed(state_dir, clock, tmp_path / "again")
    os.truncate(log, 0)
    assert journal() not in ids


def test_what_was_entered_and_not_yet_cleared_is_not_entered_again(
    log: Path, state_dir: Path, clock: SetClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TurnLog, "clear", lambda _: None)  # as if the process had been killed before
    with closing(SqliteJournal(state_dir, clock)) as journal:
        journal.commit([LockEnded(lock(1), 1000.0, "released")])
        assert len(journal.load().locks) == 2
        shutil.copytree(state_dir, tmp_path / "moment")
    assert len(ends_after(tmp_path / "moment" / LOG)) == 1

    with closing(SqliteJournal(tmp_path / "moment", clock)) as next_one:
        assert [each.id for each in next_one.load().locks] == [lock(2).id, lock(3).id]
        assert len(next_one.history(5)) == 1


def ends_after(log: Path) -> list[int]:
    with closing(TurnLog(log, make=False)) as opened:
        return [number for number, _ in opened.after(TURNS)]


def test_a_journal_that_is_closed_is_one_file(state_dir: Path, clock: SetClock) -> None:
    with closing(SqliteJournal(state_dir, clock)) as journal:
        journal.raise_epoch(EPOCH)
        journal.commit([LockGranted(lock(1))])

    assert [file.name for file in state_dir.glob("journal.sqlite*")] == ["journal.sqlite"]
    assert locks(state_dir, clock) == [1]


def test_a_link_in_its_place_is_not_followed(state_dir: Path, clock: SetClock, tmp_path: Path) -> None:
    state_dir.mkdir(mode=0o700)
    (state_dir / LOG).symlink_to(tmp_path / "elsewhere")

    with pytest.raises(StartupRefused, match=f"cannot open {state_dir / LOG}"):
        SqliteJournal(state_dir, clock)
    assert not (tmp_path / "elsewhere").exists()
