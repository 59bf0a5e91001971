"""Who belongs to a holder: itself, its descendants, and who is in what it led, also when it is dead."""

from __future__ import annotations

import os
import signal
import subprocess
from dataclasses import replace

import pytest

from gpulockd.core.model import GpuProcess, Owner, Tie
from gpulockd.processes import LinuxProcesses, families, proc
from gpulockd.processes.families import Families
from tests.support.processes import end
from tests.support.waiting import wait_until

from .conftest import CLOCK, Shell, Start, identity, is_zombie, no_descriptor_left


def holder(watcher: LinuxProcesses, process: subprocess.Popen[str]) -> Owner:
    """A session of that process."""
    return watcher.identify(process.pid, os.getuid(), os.getgid(), None)


def kin(watcher: LinuxProcesses, owner: Owner, *pids: int) -> set[int]:
    """Those of these pids that belong to it, as if the driver saw them on a GPU."""
    seen = [GpuProcess(pid, 1024) for pid in pids]
    found = watcher.kin(owner, seen)
    assert found is not None
    assert all(replace(process, tie=Tie.NONE) in seen for process in found)
    return {process.pid for process in found}


async def test_a_holder_and_its_descendants_belong_to_it(watcher: LinuxProcesses, shell: Shell, start: Start) -> None:
    parent, pids = shell("sh -c 'sleep 60 & echo $!; wait' & echo $!", pids=2)
    stranger = start()
    owner = holder(watcher, parent)

    assert kin(watcher, owner, parent.pid, *pids, stranger.pid, 1, os.getpid()) == {parent.pid, *pids}


async def test_an_ancestor_of_the_holder_does_not(watcher: LinuxProcesses, shell: Shell) -> None:
    parent, (child,) = shell("sleep 60 & echo $!")
    owner = watcher.identify(child, 0, 0, None)

    assert kin(watcher, owner, child, parent.pid) == {child}


async def test_orphans_in_the_session_that_a_dead_holder_led_belong_to_it(
    watcher: LinuxProcesses, shell: Shell
) -> None:
    parent, (child,) = shell("sleep 60 & echo $!", start_new_session=True)
    owner = holder(watcher, parent)
    end(parent)
    watcher.forget(owner.process)

    assert kin(watcher, owner, parent.pid, child) >= {child}


async def test_orphans_in_the_group_that_a_dead_holder_led_belong_to_it(watcher: LinuxProcesses, shell: Shell) -> None:
    parent, (child,) = shell("sleep 60 & echo $!", process_group=0)
    owner = holder(watcher, parent)
    end(parent)
    watcher.forget(owner.process)

    assert kin(watcher, owner, child) == {child}


async def test_others_in_a_session_that_the_holder_did_not_lead_are_strangers(
    watcher: LinuxProcesses, shell: Shell
) -> None:
    """Two jobs of one script: the end of one says nothing of the other."""
    _, (first, second) = shell("sleep 60 & echo $!; sleep 60 & echo $!", pids=2, start_new_session=True)
    owner = watcher.identify(first, 0, 0, None)
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: not watcher.alive(owner.process), "the holder has ended")

    assert kin(watcher, owner, second) == set()


@pytest.mark.parametrize("look", ["annotate", "kin"])
async def test_descent_that_was_seen_outlives_the_parent(watcher: LinuxProcesses, shell: Shell, look: str) -> None:
    """Even of a process that left its session; one that nobody ever saw is a stranger."""
    parent, (seen, unseen) = shell("setsid sleep 60 & echo $!; setsid sleep 60 & echo $!", pids=2)
    owner = holder(watcher, parent)
    wait_until(lambda: os.getsid(seen) == seen, "it has left the session")
    if look == "annotate":
        watcher.annotate([GpuProcess(seen, 1024)])
    else:
        assert kin(watcher, owner, seen) == {seen}
    end(parent)
    watcher.forget(owner.process)

    assert kin(watcher, owner, seen, unseen) == {seen}


async def test_children_of_a_descendant_that_was_seen_belong_to_the_dead_holder(
    watcher: LinuxProcesses, shell: Shell
) -> None:
    parent, (middle, last) = shell("setsid sh -c 'echo $$; sleep 60 & echo $!; wait' &", pids=2)
    owner = holder(watcher, parent)
    watcher.annotate([GpuProcess(middle, None)])
    end(parent)

    assert kin(watcher, owner, last) == {last}


async def test_a_zombie_is_in_the_way_as_long_as_the_driver_lists_it(watcher: LinuxProcesses, start: Start) -> None:
    worker = start()
    owner = holder(watcher, worker)
    worker.kill()
    wait_until(lambda: is_zombie(worker.pid), "the worker is a zombie")
    assert kin(watcher, owner, worker.pid) == {worker.pid}

    worker.wait()
    assert kin(watcher, owner, worker.pid) == {worker.pid}, "gone from /proc, and still on the GPU"


async def test_another_process_with_the_pid_of_the_holder_is_a_stranger(watcher: LinuxProcesses, shell: Shell) -> None:
    leader, (child,) = shell("sleep 60 & echo $!", start_new_session=True)
    owner = holder(watcher, leader)
    earlier = replace(owner, process=replace(owner.process, start_time=owner.process.start_time - 1))

    assert kin(watcher, earlier, leader.pid, child) == set()


async def test_a_session_whose_number_was_given_anew_is_another(shell: Shell) -> None:
    """Its leader is alive, and it is not the one that was noted."""
    leader, (child,) = shell("sleep 60 & echo $!", start_new_session=True)
    noted = replace(identity(leader.pid), start_time=identity(leader.pid).start_time - 1)
    family = families.Family(noted, leads_session=True, leads_group=True)
    stat = proc.stat(child)

    assert stat is not None
    assert not family.led(stat)


async def test_of_a_holder_that_was_never_seen_nobody_can_say_who_belongs_to_it(
    watcher: LinuxProcesses, start: Start
) -> None:
    worker = start()
    owner = holder(watcher, worker)
    unseen = replace(owner, process=replace(owner.process, start_time=0))

    assert watcher.kin(unseen, [GpuProcess(worker.pid, 1024)]) is None
    assert watcher.kin(unseen, []) == ()


async def test_a_holder_of_another_boot_has_no_kin(watcher: LinuxProcesses, start: Start) -> None:
    worker = start()
    owner = holder(watcher, worker)

    assert kin(watcher, replace(owner, process=replace(owner.process, boot_id="x")), worker.pid) == set()


async def test_only_what_was_named_as_kin_is_ended(watcher: LinuxProcesses, shell: Shell, start: Start) -> None:
    parent, (child,) = shell("sleep 60 & echo $!", start_new_session=True)
    stranger = start()
    owner = holder(watcher, parent)
    end(parent)
    seen = [GpuProcess(pid, 1024) for pid in (child, stranger.pid, parent.pid)]
    orphan = identity(child)
    named = watcher.kin(owner, seen)
    assert named is not None
    assert {process.pid for process in named} == {child, parent.pid}

    for process in seen:
        watcher.end(process, signal.SIGKILL)

    wait_until(lambda: not watcher.alive(orphan), "the orphan has ended")
    assert stranger.poll() is None


async def test_whoever_cannot_be_looked_at_is_in_the_way_and_not_ended(
    watcher: LinuxProcesses, shell: Shell, start: Start
) -> None:
    parent, (child,) = shell("sleep 60 & echo $!", start_new_session=True)
    stranger = start()
    owner = holder(watcher, parent)
    seen = [GpuProcess(child, 1024), GpuProcess(stranger.pid, 1024)]

    with no_descriptor_left():
        assert watcher.kin(owner, watcher.annotate(seen)) == tuple(
            replace(process, tie=Tie.UNKNOWN) for process in seen
        )
        for process in seen:
            watcher.end(process, signal.SIGKILL)

    assert stranger.poll() is None
    assert watcher.alive(identity(child))
    assert kin(watcher, owner, child, stranger.pid) == {child}


def test_the_past_is_bounded(start: Start) -> None:
    workers = [start() for _ in range(4)]
    known = Families(CLOCK.boot_id, past_limit=2)
    heads = [identity(worker.pid) for worker in workers]
    for head in heads:
        stat = proc.stat(head.pid)
        assert stat is not None
        known.note(head, stat)
    for head in heads[:3]:
        known.retire(head)

    assert list(known._past) == heads[1:3]
    assert list(known._present) == heads[3:]


def test_descendants_that_have_ended_are_forgotten(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(families, "_DESCENDANTS_BEFORE_PRUNING", 3)
    known = Families(CLOCK.boot_id)
    me = identity(os.getpid())
    stat = proc.stat(os.getpid())
    assert stat is not None
    known.note(me, stat)
    lasting = start()
    for _ in range(5):
        passing = start()
        known.observe([lasting.pid, passing.pid])
        end(passing)

    descendants = known._present[me].descendants
    assert identity(lasting.pid) in descendants
    assert len(descendants) <= 3


async def test_orphans_in_what_a_holder_led_are_known_to_a_daemon_that_never_saw_it(
    watcher: LinuxProcesses, shell: Shell
) -> None:
    """It died while no daemon ran. What its number is on was made by it: no pid is given out while that is in use."""
    parent, (child,) = shell("sleep 60 & echo $!", start_new_session=True)
    owner = Owner(identity(parent.pid), 0, 0)
    end(parent)

    assert kin(watcher, owner, child) == {child}
