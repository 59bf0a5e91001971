"""One daemon at a time, in a directory that is its own."""

from __future__ import annotations

import os
import signal
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gpulockd.journal import SqliteJournal
from gpulockd.ports import StartupRefused
from tests.support import processes
from tests.support.clock import SetClock
from tests.support.waiting import wait_until

from .conftest import OpenJournal

HOLD = """
import sys
from pathlib import Path
from gpulockd.clock import BootClock
from gpulockd.journal import SqliteJournal
journal = SqliteJournal(Path(sys.argv[1]), BootClock())
print("open", flush=True)
sys.stdin.read()
"""


@contextmanager
def other_daemon(state_dir: Path) -> Iterator[int]:
    """Another process that has the state directory; yields its pid."""
    process = processes.start([sys.executable, "-c", HOLD, str(state_dir)], stdin=-1)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        yield process.pid
    finally:
        processes.end(process)


def refused(state_dir: Path, clock: SetClock) -> StartupRefused:
    with pytest.raises(StartupRefused) as refusal:
        SqliteJournal(state_dir, clock).close()
    assert refusal.value.hint
    return refusal.value


def test_it_is_made_for_its_owner_alone(tmp_path: Path, clock: SetClock) -> None:
    state_dir = tmp_path / "var" / "state"

    SqliteJournal(state_dir, clock).close()

    assert stat.S_IMODE(state_dir.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in state_dir.iterdir()} == {0o600}


def test_a_second_daemon_is_refused_with_the_pid_of_the_first(state_dir: Path, clock: SetClock) -> None:
    with other_daemon(state_dir) as pid:
        refusal = refused(state_dir, clock)

    assert f"(pid {pid})" in str(refusal)
    assert str(state_dir) in str(refusal)
    assert "daemon.state_dir" in refusal.hint


def test_the_first_one_in_this_process_is_not_forgotten_either(
    state_dir: Path, clock: SetClock, open_journal: OpenJournal
) -> None:
    open_journal()
    assert f"(pid {os.getpid()})" in str(refused(state_dir, clock))


def test_a_killed_daemon_leaves_the_directory_free(state_dir: Path, clock: SetClock) -> None:
    with other_daemon(state_dir) as pid:
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not Path(f"/proc/{pid}/fd/0").exists(), "the killed daemon's files are closed")
        SqliteJournal(state_dir, clock).close()


def test_closing_leaves_the_directory_free(open_journal: OpenJournal) -> None:
    open_journal().close()
    open_journal()


def test_a_refused_start_leaves_the_directory_free(state_dir: Path, clock: SetClock) -> None:
    state_dir.mkdir(mode=0o700)
    (state_dir / "journal.sqlite").write_text("this is not a journal at all" * 100)
    refused(state_dir, clock)
    (state_dir / "journal.sqlite").unlink()

    SqliteJournal(state_dir, clock).close()


def test_deleting_its_files_does_not_let_a_second_daemon_in(state_dir: Path, clock: SetClock) -> None:
    with other_daemon(state_dir):
        for file in state_dir.iterdir():
            file.unlink()
        assert "another gpulockd (pid unknown)" in str(refused(state_dir, clock))


def test_a_pid_that_cannot_be_written_refuses_and_leaves_the_directory_free(state_dir: Path, clock: SetClock) -> None:
    (state_dir / "daemon.pid").mkdir(parents=True, mode=0o700)
    assert "Is a directory" in str(refused(state_dir, clock))
    (state_dir / "daemon.pid").rmdir()

    SqliteJournal(state_dir, clock).close()


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o1777])
def test_a_directory_that_others_may_write_to_is_refused(state_dir: Path, clock: SetClock, mode: int) -> None:
    state_dir.mkdir()
    state_dir.chmod(mode)

    refusal = refused(state_dir, clock)

    assert f"mode {mode:04o}" in str(refusal)
    assert f"chmod 0700 {state_dir}" in refusal.hint


@pytest.mark.root
def test_a_directory_of_somebody_else_is_refused(state_dir: Path, clock: SetClock) -> None:
    state_dir.mkdir(mode=0o700)
    os.chown(state_dir, 65534, 65534)

    assert "belongs to uid 65534" in str(refused(state_dir, clock))


def test_a_file_in_the_place_of_the_directory_is_refused(state_dir: Path, clock: SetClock) -> None:
    state_dir.write_text("")
    assert "File exists" in str(refused(state_dir, clock))


def test_a_directory_that_cannot_be_made_is_refused(clock: SetClock) -> None:
    """Nobody can make directories in /proc, root neither."""
    assert "cannot make the state directory /proc/gpulockd" in str(refused(Path("/proc/gpulockd"), clock))


def test_the_directory_may_be_reached_through_a_link(tmp_path: Path, clock: SetClock) -> None:
    """As systemd does with `DynamicUser=`."""
    (tmp_path / "private").mkdir(mode=0o700)
    (tmp_path / "state").symlink_to(tmp_path / "private")

    SqliteJournal(tmp_path / "state", clock).close()

    assert (tmp_path / "private" / "journal.sqlite").exists()


@pytest.mark.parametrize("name", ["daemon.pid", "journal.sqlite"])
def test_links_in_the_place_of_its_files_are_not_followed(
    tmp_path: Path, state_dir: Path, clock: SetClock, name: str
) -> None:
    state_dir.mkdir(mode=0o700)
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (state_dir / name).symlink_to(victim)

    assert "symbolic link" in str(refused(state_dir, clock)).lower()
    assert victim.read_text() == "precious"
