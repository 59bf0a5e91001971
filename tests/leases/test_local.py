"""The local lease: one daemon for each state directory, and epochs that grow."""

from __future__ import annotations

import asyncio
import math
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from gpulockd.leases.identity import Identity
from gpulockd.leases.local import LocalLeases
from gpulockd.ports import Unavailable
from tests.support import processes

GPUS = ["GPU-0", "GPU-1"]

CLAIMING = """
import asyncio, sys
from pathlib import Path
from gpulockd.leases.identity import Identity
from gpulockd.leases.local import LocalLeases

leases = LocalLeases(Path(sys.argv[1]), Identity.of_this_process("host-a"))
claimed = asyncio.run(leases.claim(1, ["GPU-0"], 0))
print(claimed.epochs["GPU-0"], flush=True)
sys.stdin.read()
"""


@pytest.fixture
async def new_daemon(tmp_path: Path) -> AsyncIterator[Callable[[], LocalLeases]]:
    made: list[LocalLeases] = []

    def new() -> LocalLeases:
        made.append(LocalLeases(tmp_path, Identity.of_this_process("host-a")))
        return made[-1]

    yield new
    for leases in made:
        await leases.close()


@pytest.fixture
def other_process(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another daemon that has the lease, with epoch 1."""
    process = processes.start([sys.executable, "-c", CLAIMING, str(tmp_path)], stdin=subprocess.PIPE, stderr=None)
    assert process.stdout is not None
    assert process.stdout.readline() == "1\n"
    yield process
    processes.end(process)


NewDaemon = Callable[[], LocalLeases]


async def test_every_gpu_is_granted_with_one_epoch_above_the_floor(new_daemon: NewDaemon) -> None:
    daemon = new_daemon()
    assert (daemon.kind, daemon.ttl) == ("local", math.inf)
    assert (await daemon.claim(1, GPUS, floor=6)).epochs == {"GPU-0": 7, "GPU-1": 7}


async def test_a_second_daemon_is_refused_with_the_pid_of_the_first(
    new_daemon: NewDaemon, other_process: subprocess.Popen[str]
) -> None:
    claimed = await new_daemon().claim(1, GPUS, floor=0)
    assert claimed.epochs == {}
    for gpu in GPUS:
        holder = claimed.refused[gpu]
        assert (holder.host, holder.pid, holder.expires_in) == ("host-a", other_process.pid, math.inf)


async def test_the_lease_ends_with_the_process_and_the_epoch_does_not(
    new_daemon: NewDaemon, other_process: subprocess.Popen[str]
) -> None:
    daemon = new_daemon()
    assert (await daemon.claim(1, GPUS, floor=0)).refused.keys() == set(GPUS)
    other_process.kill()
    other_process.wait()
    assert (await daemon.claim(2, GPUS, floor=0)).epochs == {"GPU-0": 2, "GPU-1": 2}


async def test_a_repeated_claim_is_the_same_claim(new_daemon: NewDaemon) -> None:
    daemon = new_daemon()
    first = await daemon.claim(1, GPUS, floor=0)
    assert await daemon.claim(1, GPUS, floor=0) == first
    assert (await daemon.claim(2, GPUS, floor=0)).epochs == {"GPU-0": 2, "GPU-1": 2}
    assert (await daemon.claim(2, GPUS, floor=9)).epochs == {"GPU-0": 10, "GPU-1": 10}


async def test_the_epoch_grows_through_releases_and_restarts(new_daemon: NewDaemon, tmp_path: Path) -> None:
    for run in range(1, 5):
        daemon = new_daemon()
        epochs = (await daemon.claim(1, GPUS, floor=0)).epochs
        assert epochs == {"GPU-0": run, "GPU-1": run}
        assert (tmp_path / "lease.epoch").read_text() == f"{run}\n"
        await (daemon.release(epochs) if run % 2 else daemon.close())


async def test_the_epoch_is_on_the_disk_before_it_is_told(
    new_daemon: NewDaemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    fsync = os.fsync

    def watched(descriptor: int) -> None:
        fsync(descriptor)
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))

    monkeypatch.setattr(os, "fsync", watched)
    await new_daemon().claim(1, GPUS, floor=0)
    assert synced == [str(tmp_path / "lease.new"), str(tmp_path)]


async def test_the_lock_is_kept_until_the_last_gpu_is_released(new_daemon: NewDaemon) -> None:
    first, second = new_daemon(), new_daemon()
    await first.claim(1, GPUS, floor=0)
    await first.release({"GPU-0": 1, "GPU-1": 99})
    assert (await first.renew(2, {"GPU-0": 1, "GPU-1": 1}, {})).kept == {"GPU-1"}
    assert (await second.claim(1, GPUS, floor=0)).refused["GPU-0"].pid == os.getpid()
    await first.release({"GPU-1": 1})
    assert (await second.claim(2, GPUS, floor=0)).epochs == {"GPU-0": 2, "GPU-1": 2}


async def test_only_the_granted_epoch_is_renewed(new_daemon: NewDaemon) -> None:
    daemon = new_daemon()
    await daemon.claim(1, GPUS, floor=0)
    renewed = await daemon.renew(2, {"GPU-0": 1, "GPU-1": 2, "GPU-5": 1}, {})
    assert renewed.kept == {"GPU-0"}
    assert renewed.lost == {"GPU-1": None, "GPU-5": None}


async def test_a_lock_file_that_was_removed_is_a_lost_lease(new_daemon: NewDaemon, tmp_path: Path) -> None:
    first, second = new_daemon(), new_daemon()
    epochs = (await first.claim(1, GPUS, floor=0)).epochs
    (tmp_path / "lease.lock").unlink()
    assert (await second.claim(1, GPUS, floor=0)).epochs == {"GPU-0": 2, "GPU-1": 2}
    assert (await first.renew(2, epochs, {})).lost == {"GPU-0": None, "GPU-1": None}
    assert (await first.claim(3, GPUS, floor=1)).refused.keys() == set(GPUS)


async def test_the_fleet_is_this_host_once_it_has_said_anything(new_daemon: NewDaemon) -> None:
    daemon = new_daemon()
    assert await daemon.fleet() == []
    await daemon.renew(1, {}, {"host": "host-a", "gpus": []})
    [host] = await daemon.fleet()
    age = host["age"]
    assert isinstance(age, float)
    assert 0 <= age < 5
    assert host == {"host": "host-a", "gpus": [], "age": age}


async def test_listening_lasts_until_it_is_cancelled(new_daemon: NewDaemon) -> None:
    task = asyncio.create_task(new_daemon().listen(lambda event: pytest.fail(f"heard {event}")))
    await asyncio.sleep(0)
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_damaged_epoch_is_no_reason_to_begin_anew(new_daemon: NewDaemon, tmp_path: Path) -> None:
    (tmp_path / "lease.epoch").write_text("many\n")
    with pytest.raises(Unavailable, match=r"lease\.epoch is damaged; remove it if the journal"):
        await new_daemon().claim(1, GPUS, floor=0)


@pytest.mark.parametrize("name", ["lease.lock", "lease.epoch", "lease.new"])
async def test_links_in_the_place_of_its_files_are_not_followed(
    new_daemon: NewDaemon, tmp_path: Path, name: str
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("7\n")
    (tmp_path / name).symlink_to(victim)

    if name == "lease.new":  # left by nobody who means well; it is replaced
        assert (await new_daemon().claim(1, GPUS, 0)).epochs["GPU-0"] == 1
    else:
        with pytest.raises(Unavailable, match="symbolic link"):
            await new_daemon().claim(1, GPUS, 0)
    assert victim.read_text() == "7\n"


def modes(directory: Path) -> dict[str, str]:
    return {path.name: oct(path.stat().st_mode & 0o777) for path in directory.iterdir()}


async def test_its_files_are_its_own(new_daemon: NewDaemon, tmp_path: Path) -> None:
    await new_daemon().claim(1, GPUS, 0)
    assert modes(tmp_path) == {"lease.lock": "0o600", "lease.epoch": "0o600"}


async def test_a_directory_that_does_not_exist(tmp_path: Path) -> None:
    daemon = LocalLeases(tmp_path / "none", Identity.of_this_process("host-a"))
    with pytest.raises(Unavailable, match=r"daemon\.state_dir must be a directory that the daemon may write"):
        await daemon.claim(1, GPUS, floor=0)


async def test_a_child_that_was_executed_does_not_keep_the_lock(new_daemon: NewDaemon) -> None:
    first, second = new_daemon(), new_daemon()
    await first.claim(1, GPUS, floor=0)
    child = processes.start([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False)
    try:
        await first.close()
        assert (await second.claim(1, GPUS, floor=0)).epochs == {"GPU-0": 2, "GPU-1": 2}
    finally:
        processes.end(child)
