"""A worker of another user can neither release nor revoke what is not its own; an administrator can, by name."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon import Daemon
from tests.support.frames import Frames, WireError
from tests.support.waiting import wait_until

NOBODY = 65534
HOLD = "import gpulock, sys; lock = gpulock.acquire(socket=sys.argv[1]); print(lock.id, flush=True); sys.stdin.read()"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="NOTHING CHECKED: only root can be two users at once")


def open_to_everybody(daemon: Daemon) -> None:
    """Lets every user connect: these tests are about who is told no after that."""
    Path(daemon.socket).chmod(0o666)
    for directory in daemon.directory.parents[:-1]:
        directory.chmod(directory.stat().st_mode | 0o011)
    daemon.directory.chmod(daemon.directory.stat().st_mode | 0o011)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with Daemon(tmp_path, simulate=1, settings={"daemon.revoke_grace": 0.2, "daemon.kill_grace": 0.2}) as daemon:
        open_to_everybody(daemon)
        yield daemon


def as_nobody(socket: str, *calls: str) -> list[str]:
    """What a process of user nobody gets for calls such as `release lock=L1-1`: `ok`, or the error's code.

    `PermissionError` where it cannot even connect.
    """
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        answers = []
        try:
            with Frames(socket) as client:
                for call in calls:
                    method, *params = call.split()
                    try:
                        client.call(method, **dict(param.split("=") for param in params))
                        answers.append("ok")
                    except WireError as error:
                        answers.append(str(error.code))
        except OSError as error:
            answers.append(type(error).__name__)
        finally:
            os.write(write, " ".join(answers).encode())
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        said = pipe.read().decode().split()
    assert os.waitpid(child, 0)[1] == 0
    return said


def test_nobody_may_not_touch_what_root_holds(daemon: Daemon) -> None:
    with Frames(daemon.socket) as holder:
        lock = holder.call("acquire")["lock"]
        calls = (
            f"release lock={lock}",
            f"extend lock={lock} max_hold=1h",
            f"beat lock={lock}",
            f"revoke subject={lock}",
        )
        assert as_nobody(daemon.socket, *calls, "drain", "undrain", "revoke subject=0") == [
            "not-held",
            "not-held",
            "not-held",
            "not-permitted",
            "not-permitted",
            "not-permitted",
            "not-permitted",
        ]
        # A lock's id is no key to it: nested in another user's lock, one waits like anybody.
        assert as_nobody(daemon.socket, f"acquire within={lock} wait_timeout=10ms") == ["wait-timeout"]
        assert [held["id"] for held in daemon.status()["locks"]] == [lock]
        holder.call("release")


def test_a_key_is_good_for_the_process_that_it_was_given_to_alone(daemon: Daemon) -> None:
    with Frames(daemon.socket) as holder:
        key = holder.call("hello")["reattach"]
        lock = holder.call("acquire")["lock"]
        daemon.restart()
        open_to_everybody(daemon)
        assert as_nobody(daemon.socket, f"hello reattach={key}", f"release lock={lock}") == ["ok", "not-held"]
        with Frames(daemon.socket) as back:
            assert [kept["lock"] for kept in back.call("hello", reattach=key)["locks"]] == [lock]


def test_a_socket_is_open_to_its_owner_and_group_only(tmp_path: Path) -> None:
    with Daemon(tmp_path, simulate=1) as daemon:
        mode = Path(daemon.socket).stat().st_mode
        open_to_everybody(daemon)
        Path(daemon.socket).chmod(mode)
        assert as_nobody(daemon.socket, "queue") == ["PermissionError"]
        os.chown(daemon.socket, -1, NOBODY)
        Path(daemon.socket).chmod(0o660)  # what the daemon does itself where there is a group `gpulock`
        assert as_nobody(daemon.socket, "queue", "revoke subject=0") == ["ok", "not-permitted"]


def test_an_administrator_takes_it_back_and_it_is_recorded_who_did(daemon: Daemon) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, daemon.socket], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    lock = holder.stdout.readline().strip()
    with Frames(daemon.socket) as watcher, Frames(daemon.socket) as administrator:
        watcher.call("watch")
        administrator.call("revoke", subject=lock, reason="maintenance")
        by = f"root (pid {os.getpid()}), uid 0"
        recalled = watcher.notified("event")
        assert (recalled["kind"], recalled["data"]["by"]) == ("lock.recalled", by)
        assert holder.wait(20) == -signal.SIGTERM
        wait_until(lambda: daemon.status()["gpus"][0]["state"] == "free", "the GPU is free again")
        (ended, *_) = administrator.call("history", limit=1)["locks"]
        assert (ended["lock"], ended["how"], ended["by"]) == (lock, "revoked", by)
        assert f"taken back by {by}: revoked: maintenance" in daemon.output()
    holder.communicate()


def test_a_user_of_the_list_is_an_administrator(tmp_path: Path) -> None:
    with Daemon(tmp_path, simulate=1, settings={"daemon.admins": "[nobody]"}) as daemon:
        open_to_everybody(daemon)
        assert as_nobody(daemon.socket, "drain gpu=0 reason=fan", "undrain gpu=0") == ["ok", "ok"]
        assert "drained by nobody" in daemon.output()
