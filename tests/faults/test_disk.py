"""The journal's disk is full, read-only or damaged: nobody is told what is not written, and no start begins empty."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.app.test_process import run
from tests.support.daemon import Daemon
from tests.support.frames import Frames, WireError
from tests.support.waiting import PATIENCE, wait_until

pytestmark = pytest.mark.system


class Disk(Protocol):
    state: Path
    """Where the daemon keeps its journal."""

    def fill(self, daemon: Daemon) -> None: ...

    def free(self, daemon: Daemon) -> None: ...


class Quota:
    """The kernel lets the daemon write nothing beyond what its journal's log has by now."""

    def __init__(self, directory: Path) -> None:
        self.state = directory / "state"

    def fill(self, daemon: Daemon) -> None:
        size = (self.state / "journal.sqlite-turns").stat().st_size
        resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    def free(self, daemon: Daemon) -> None:
        with contextlib.suppress(ProcessLookupError):  # it took its limit with it
            resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


class SmallDisk:
    """A file system of 256 KiB, and something else on it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory / "disk"
        self.directory.mkdir()
        self.state = self.directory / "state"
        mount("-t", "tmpfs", "-o", "size=256k,mode=0700", "tmpfs", str(self.directory))

    def fill(self, daemon: Daemon) -> None:
        with contextlib.suppress(OSError), (self.directory / "ballast").open("ab", buffering=0) as file:
            while True:
                file.write(b"\0" * 4096)

    def free(self, daemon: Daemon) -> None:
        (self.directory / "ballast").unlink()

    def close(self) -> None:
        subprocess.run(["umount", self.directory], check=True)


def mount(*arguments: str) -> None:
    mounted = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"no right to mount here: {mounted.stderr.strip()}")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    disk = SmallDisk(tmp_path)
    yield disk
    disk.close()


@pytest.fixture(params=["quota", pytest.param("small_disk", marks=pytest.mark.root)])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Disk:
    if request.param == "quota":
        return Quota(tmp_path)
    small: SmallDisk = request.getfixturevalue("small_disk")
    return small


@pytest.fixture
def daemon(disk: Disk, tmp_path: Path) -> Iterator[Daemon]:
    with Daemon(tmp_path, simulate=2, settings={"daemon.state_dir": disk.state}) as daemon:
        yield daemon


def fault(daemon: Daemon) -> str:
    """What the daemon says of its journal; `ok` where all is well."""
    said: str = daemon.status()["daemon"]["journal"]
    return said


def tokens(daemon: Daemon) -> list[int]:
    return [lock["token"] for lock in daemon.status()["locks"]]


LONG = {f"label-{number}": 1000 * "x" for number in range(5)}
"""Makes the record of a grant longer than what may be left of the log's last page."""


def fill(daemon: Daemon, disk: Disk) -> tuple[Frames, int]:
    """Fills the disk, so that a grant cannot be written. Returns who waits for its answer, and the request."""
    disk.fill(daemon)
    client = Frames(daemon.socket)
    request = client.send("acquire", gpus=["1"], labels=LONG)
    wait_until(lambda: fault(daemon) != "ok" or _answered(client), "it is granted, or the journal fails")
    assert fault(daemon) != "ok"
    return client, request


def _answered(client: Frames) -> bool:
    client.socket.setblocking(False)
    try:
        return bool(client.socket.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return False
    finally:
        client.socket.settimeout(PATIENCE)


def test_a_full_disk_stops_grants_and_is_told_and_all_goes_on_when_there_is_room(daemon: Daemon, disk: Disk) -> None:
    with Frames(daemon.socket) as holder, Frames(daemon.socket) as other:
        lock = holder.call("acquire", gpus=["0"], notify=["lost"])
        promised, request = fill(daemon, disk)
        with promised:
            assert "cannot write the journal" in fault(daemon)
            assert str(disk.state) in fault(daemon)
            with pytest.raises(WireError) as refused:
                other.call("acquire", wait_timeout=0)
            assert refused.value.code == "journal-unavailable"
            assert not _answered(promised), "a lock that is not written is nobody's"
            letting_go = holder.send("release")
            disk.free(daemon)
            assert promised.receive(request)["token"] > lock["token"]
            assert holder.receive(letting_go)["lock"] == lock["lock"]
            wait_until(lambda: fault(daemon) == "ok", "the journal is written again")
            assert other.call("acquire", wait_timeout=0)["token"] > lock["token"]
            assert not holder.notifications


def test_a_daemon_that_is_killed_on_a_full_disk_has_kept_what_it_told(daemon: Daemon, disk: Disk) -> None:
    with Frames(daemon.socket) as holder:
        key = holder.call("hello")["reattach"]
        token = holder.call("acquire", gpus=["0"])["token"]
        promised, _ = fill(daemon, disk)
        promised.close()
        daemon.kill()
        disk.free(daemon)
        daemon.start()
        assert tokens(daemon) == [token]
        with Frames(daemon.socket) as back:
            assert [kept["token"] for kept in back.call("hello", reattach=key)["locks"]] == [token]
        with Frames(daemon.socket) as other:
            assert other.call("acquire", gpus=["1"])["token"] > token


@pytest.mark.root
def test_a_configuration_is_not_in_force_where_there_is_no_room_to_keep_it(
    small_disk: SmallDisk, tmp_path: Path
) -> None:
    file = tmp_path / "config.yml"
    file.write_text("{}\n")
    settings: dict[str, object] = {"daemon.state_dir": small_disk.state}
    with Daemon(tmp_path, simulate=1, arguments=("--config", str(file)), settings=settings) as daemon:
        one, two = "gpu_lock: {max_wait_time: 11}\n", "gpu_lock: {max_wait_time: 22}\n"
        daemon.call("config_apply", content=one)
        small_disk.fill(daemon)
        for method, asked in (
            ("config_apply", {"content": two}),
            ("config_rollback", {}),
            ("config_apply", {"content": two}),
        ):
            with pytest.raises(WireError, match="No space left") as refused:
                daemon.call(method, **asked)
            assert refused.value.code == "configuration-unwritable"
            assert daemon.call("config_version")["content"] == file.read_text() == one
        small_disk.free(daemon)
        daemon.restart()
        assert daemon.call("config_version")["content"] == one
        daemon.call("config_apply", content=two)
        entries = daemon.call("config_history")["entries"]
        assert [(each["version"], each["outcome"]) for each in entries] == [
            (3, "applied"),
            (2, "applied"),
            (1, "applied"),
        ]
        assert [daemon.call("config_version", version=each)["content"] for each in (1, 2, 3)] == ["{}\n", one, two]


@pytest.mark.root
def test_a_start_on_a_full_or_read_only_disk_is_refused_with_the_way_out(small_disk: SmallDisk, tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, simulate=1, settings={"daemon.state_dir": small_disk.state})
    small_disk.state.mkdir(mode=0o700)
    small_disk.fill(daemon)
    done = run("--simulate", "1", **daemon.environment)
    assert done.returncode == 69, done.stderr
    assert str(small_disk.state) in done.stderr
    small_disk.free(daemon)
    with daemon:
        daemon.stop()
    mount("-o", "remount,ro", str(small_disk.directory))
    done = run("--simulate", "1", **daemon.environment)
    assert done.returncode == 69
    assert "Read-only file system" in done.stderr
    assert "daemon.state_dir" in done.stderr
    assert "Traceback" not in done.stderr


def cut(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def overwrite_with_zeros(file: Path) -> None:
    with file.open("r+b") as opened:
        opened.write(b"\0" * 4096)


@pytest.mark.parametrize("damage", [cut, overwrite_with_zeros])
def test_a_damaged_journal_refuses_the_start_and_the_way_out_that_it_names_is_one(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    with Daemon(tmp_path, simulate=1) as daemon:
        with Frames(daemon.socket) as client:
            before = client.call("acquire")["token"]
        assert daemon.stop() == 0
        journal = daemon.state / "journal.sqlite"
        damage(journal)
        content = journal.read_bytes()
        done = run("--simulate", "1", **daemon.environment)
        assert done.returncode == 69
        assert f"the journal {journal} is damaged" in done.stderr
        assert "Traceback" not in done.stderr
        assert journal.read_bytes() == content, "it is left for whoever can mend it"
        assert f"mv {journal} {journal}.damaged" in done.stderr
        journal.rename(f"{journal}.damaged")
        daemon.start()
        with Frames(daemon.socket) as client:
            granted: dict[str, Any] = client.call("acquire")
        assert granted["token"] > before, "the lease's epoch still grows"
