"""Who belongs to a holder by its control group: nobody, where anybody else asks for GPUs from there."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from gpulockd.clock import BootClock
from gpulockd.core.model import GpuProcess, Owner, Tie
from gpulockd.processes import LinuxProcesses, proc
from tests.support.control_groups import ControlGroup, control_group
from tests.support.processes import end
from tests.support.waiting import wait_until

from .conftest import Start, identity, no_descriptor_left

ORPHAN = "setsid sh -c 'sleep 60 & echo $!' &"
"""A grandchild in a session of its own whose parents are gone: nothing but its group says whose it is."""


@pytest.fixture
def job() -> Iterator[ControlGroup]:
    with control_group() as group:
        yield group


Inside = Callable[[ControlGroup, str], tuple[subprocess.Popen[str], int]]


@pytest.fixture
def inside(start: Start) -> Inside:
    """Runs a shell in a group; it prints a pid, and stays."""

    def run(group: ControlGroup, script: str) -> tuple[subprocess.Popen[str], int]:
        shell = start(*group.runs("sh", "-c", f"{script}\nexec sleep 60"))
        assert shell.stdout is not None
        pid = int(shell.stdout.readline())
        if script == ORPHAN:
            wait_until(lambda: is_orphan(pid), "its parent is gone")
        return shell, pid

    return run


def is_orphan(pid: int) -> bool:
    """Its parent led its session."""
    stat = proc.stat(pid)
    assert stat is not None
    return stat.parent != stat.session


def holder(watcher: LinuxProcesses, process: subprocess.Popen[str]) -> Owner:
    return watcher.identify(process.pid, os.getuid(), os.getgid(), None)


def dies(watcher: LinuxProcesses, process: subprocess.Popen[str], owner: Owner) -> None:
    end(process)
    watcher.forget(owner.process)


def ties(watcher: LinuxProcesses, owner: Owner, *pids: int) -> dict[int, Tie]:
    found = watcher.kin(owner, [GpuProcess(pid, 1024) for pid in pids])
    assert found is not None
    return {process.pid: process.tie for process in found}


async def test_an_orphan_that_nobody_saw_belongs_to_the_only_client_of_its_group(
    watcher: LinuxProcesses, job: ControlGroup, inside: Inside, start: Start
) -> None:
    worker, orphan = inside(job, ORPHAN)
    stranger = start()
    owner = holder(watcher, worker)
    assert owner.cgroup.endswith(job.path.name)
    dies(watcher, worker, owner)

    assert ties(watcher, owner, orphan, stranger.pid) == {orphan: Tie.CGROUP}


async def test_an_orphan_in_a_group_below_belongs_to_it_and_one_beside_does_not(
    watcher: LinuxProcesses, job: ControlGroup, inside: Inside, start: Start
) -> None:
    own = job.below("own")
    worker, orphan = inside(own, ORPHAN)
    within, beside = start(*own.below("part").runs("sleep", "60")), start(*job.below("other").runs("sleep", "60"))
    for process, name in (within, "part"), (beside, "other"):
        wait_until(lambda: proc.cgroup(process.pid).endswith(f"/{name}\n"), "it is in its group")  # noqa: B023
    owner = holder(watcher, worker)
    dies(watcher, worker, owner)

    assert ties(watcher, owner, orphan, within.pid, beside.pid) == {orphan: Tie.CGROUP, within.pid: Tie.CGROUP}


async def test_workers_of_one_container_are_no_kin(watcher: LinuxProcesses, job: ControlGroup, inside: Inside) -> None:
    """One dies, with a lock; the other goes on, with a context on the same GPU."""
    worker, orphan = inside(job, ORPHAN)
    sibling, _ = inside(job, "echo $$")
    owner = holder(watcher, worker)
    holder(watcher, sibling)
    dies(watcher, worker, owner)

    assert ties(watcher, owner, sibling.pid, orphan) == {}


async def test_a_worker_that_has_let_go_is_none_either(
    watcher: LinuxProcesses, job: ControlGroup, inside: Inside
) -> None:
    """It was a client, and keeps its context; which of them the orphan is of, nobody can say."""
    worker, orphan = inside(job, ORPHAN)
    sibling, _ = inside(job, "echo $$")
    other = holder(watcher, sibling)
    watcher.forget(other.process)
    owner = holder(watcher, worker)
    dies(watcher, worker, owner)

    assert ties(watcher, owner, sibling.pid, orphan) == {}


async def test_who_asks_from_there_is_no_more_in_the_way(
    watcher: LinuxProcesses, job: ControlGroup, inside: Inside
) -> None:
    """So no two of them can wait for each other: whoever waits has asked."""
    worker, _ = inside(job, "echo $$")
    sibling, _ = inside(job, "echo $$")
    owner = holder(watcher, worker)
    dies(watcher, worker, owner)
    assert ties(watcher, owner, sibling.pid) == {sibling.pid: Tie.CGROUP}

    holder(watcher, sibling)

    assert ties(watcher, owner, sibling.pid) == {}


async def test_a_client_in_a_group_below_shares_the_one_above(
    watcher: LinuxProcesses, job: ControlGroup, inside: Inside
) -> None:
    worker, orphan = inside(job, ORPHAN)
    nested, _ = inside(job.below("nested"), "echo $$")
    owner = holder(watcher, worker)
    holder(watcher, nested)
    dies(watcher, worker, owner)

    assert ties(watcher, owner, orphan) == {}


async def test_a_child_that_is_a_client_too_does_not_make_it_a_shared_one(
    watcher: LinuxProcesses, job: ControlGroup, inside: Inside
) -> None:
    """`gpulock -- CMD`, and CMD asks inside of its parent's lock."""
    worker, child = inside(job, "sleep 60 & echo $!")
    _, orphan = inside(job, ORPHAN)
    owner = holder(watcher, worker)
    watcher.identify(child, os.getuid(), os.getgid(), None)

    assert ties(watcher, owner, child, orphan) == {child: Tie.DESCENT, orphan: Tie.CGROUP}
    dies(watcher, worker, owner)
    assert ties(watcher, owner, child, orphan) == {child: Tie.DESCENT, orphan: Tie.CGROUP}


async def test_a_neighbour_that_was_there_before_the_holder_is_no_kin(
    watcher: LinuxProcesses, job: ControlGroup, inside: Inside
) -> None:
    """A sidecar: nobody descends from whoever is younger."""
    sidecar, _ = inside(job, "echo $$")
    wait_until(lambda: later_than(sidecar.pid, inside, job), "the holder is younger by a tick of the kernel's clock")
    worker, _ = inside(job, "echo $$")
    owner = holder(watcher, worker)

    assert ties(watcher, owner, sidecar.pid) == {}


def later_than(pid: int, inside: Inside, group: ControlGroup) -> bool:
    probe, _ = inside(group, "echo $$")
    return identity(probe.pid).start_time > identity(pid).start_time


async def test_the_groups_that_the_daemon_is_in_say_nothing(
    watcher: LinuxProcesses, job: ControlGroup, inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Daemon and workers in one container, or in one login."""
    worker, orphan = inside(job, ORPHAN)
    owner = holder(watcher, worker)
    assert ties(watcher, owner, orphan) == {orphan: Tie.CGROUP}
    monkeypatch.setattr(watcher._families, "_own_places", {"": f"{owner.cgroup.removeprefix(':')}/daemon"})

    assert ties(watcher, owner, orphan) == {}


async def test_nobody_is_ended_for_its_group_alone(watcher: LinuxProcesses, job: ControlGroup, inside: Inside) -> None:
    worker, orphan = inside(job, ORPHAN)
    owner = holder(watcher, worker)
    dies(watcher, worker, owner)
    named = watcher.kin(owner, [GpuProcess(orphan, 1024)])
    assert named
    watcher.end(named[0], signal.SIGKILL)

    assert watcher.alive(identity(orphan))


async def test_what_an_earlier_daemon_wrote_down_of_a_dead_holder_is_enough(
    watcher: LinuxProcesses, job: ControlGroup, inside: Inside
) -> None:
    worker, orphan = inside(job, ORPHAN)
    owner = holder(watcher, worker)
    dies(watcher, worker, owner)
    later = LinuxProcesses(lambda event: None, BootClock(), lambda uid, user: False)

    assert ties(later, owner, orphan) == {orphan: Tie.CGROUP}
    assert ties(later, replace(owner, cgroup=""), orphan) == {orphan: Tie.CGROUP}, "it knows that family by now"


async def test_whose_group_cannot_be_looked_at_is_in_the_way(
    watcher: LinuxProcesses, job: ControlGroup, inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, orphan = inside(job, ORPHAN)
    owner = holder(watcher, worker)
    stats = {pid: proc.stat(pid) for pid in (orphan, worker.pid, os.getppid())}
    monkeypatch.setattr(proc, "stat", stats.get)

    with no_descriptor_left():
        assert ties(watcher, owner, orphan) == {orphan: Tie.UNKNOWN}
