"""The end of a process is noticed at once, whoever its parent is, and never taken for another's."""

from __future__ import annotations

import asyncio
import os
import signal
import statistics
import time
from dataclasses import replace

import pytest
import uvloop

from gpulockd.core.events import Event
from gpulockd.core.model import Process
from gpulockd.ports import Processes, StartupRefused
from gpulockd.processes import LinuxProcesses
from tests.support.processes import end
from tests.support.waiting import eventually, wait_until

from .conftest import CLOCK, Shell, Start, descriptors, exits, identity, is_zombie, no_descriptor_left

AT_ONCE = 0.05


def identify(watcher: LinuxProcesses, pid: int, pidfd: int | None = None) -> Process:
    return watcher.identify(pid, os.getuid(), os.getgid(), pidfd).process


async def latency_of_a_kill(start: Start) -> float:
    """Seconds from SIGKILL to the news of the exit."""
    noticed = asyncio.Event()
    watcher = LinuxProcesses(lambda event: noticed.set(), CLOCK, lambda uid, user: False)
    worker = start()
    identify(watcher, worker.pid)
    killed_at = time.monotonic()
    worker.kill()
    await asyncio.wait_for(noticed.wait(), 15)
    latency = time.monotonic() - killed_at
    watcher.close()
    return latency


def test_it_is_what_the_engine_expects(watcher: LinuxProcesses) -> None:
    _: Processes = watcher


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_sigkill_is_noticed_at_once(start: Start, new_loop: object) -> None:
    assert callable(new_loop)
    loop: asyncio.AbstractEventLoop = new_loop()
    try:
        latencies = [loop.run_until_complete(latency_of_a_kill(start)) for _ in range(7)]
    finally:
        loop.close()

    assert statistics.median(latencies) < AT_ONCE


async def test_the_exit_is_posted_with_the_identity_it_was_given(
    watcher: LinuxProcesses, posted: list[Event], start: Start
) -> None:
    worker = start()
    process = identify(watcher, worker.pid)
    assert process == identity(worker.pid)
    assert watcher.alive(process)

    worker.terminate()

    await eventually(lambda: posted, "the exit is posted")
    assert exits(posted) == [process]
    assert not watcher.alive(process)


async def test_the_exit_of_somebody_elses_child_is_posted(
    watcher: LinuxProcesses, posted: list[Event], shell: Shell
) -> None:
    _, (grandchild,) = shell("sleep 60 & echo $!")
    process = identify(watcher, grandchild)

    os.kill(grandchild, signal.SIGKILL)

    await eventually(lambda: exits(posted) == [process], "the exit is posted")


async def test_a_child_that_lives_on_does_not_keep_its_parent_alive(
    watcher: LinuxProcesses, posted: list[Event], shell: Shell
) -> None:
    parent, (child,) = shell("sleep 60 & echo $!")
    process = identify(watcher, parent.pid)

    parent.kill()

    await eventually(lambda: exits(posted) == [process], "the exit is posted")
    assert watcher.alive(identity(child))


async def test_ten_thousand_sessions_of_one_process_take_one_descriptor(
    watcher: LinuxProcesses, posted: list[Event], start: Start
) -> None:
    worker = start()
    process = identity(worker.pid)
    before = descriptors()

    for _ in range(5000):
        assert identify(watcher, worker.pid) == process
        assert identify(watcher, worker.pid, os.pidfd_open(worker.pid)) == process

    assert descriptors() == before + 1
    worker.kill()
    await eventually(lambda: posted, "the exit is posted")
    assert exits(posted) == [process]
    assert descriptors() == before


async def test_the_last_session_that_goes_takes_the_descriptor_along(
    watcher: LinuxProcesses, posted: list[Event], start: Start
) -> None:
    worker, later = start(), start()
    before = descriptors()
    process = identify(watcher, worker.pid)
    assert watcher.watch(process)

    watcher.forget(process)
    assert descriptors() == before + 1
    watcher.forget(process)
    assert descriptors() == before
    watcher.forget(process)

    lasting = identify(watcher, later.pid)
    worker.kill()
    later.kill()
    await eventually(lambda: posted, "the exit of the watched one is posted")
    assert exits(posted) == [lasting]


async def test_a_process_that_has_ended_is_not_identified(watcher: LinuxProcesses, start: Start) -> None:
    worker = start("true")
    pidfd = os.pidfd_open(worker.pid)
    end(worker)
    before = descriptors()

    for given in (pidfd, None):
        with pytest.raises(ConnectionAbortedError, match=f"process {worker.pid} connected and has ended"):
            identify(watcher, worker.pid, given)
    assert descriptors() == before - 1, "the given descriptor is closed, none is kept"


async def test_a_zombie_has_ended(watcher: LinuxProcesses, start: Start) -> None:
    worker = start("true")
    await eventually(lambda: is_zombie(worker.pid), "the worker is a zombie")
    process = identity(worker.pid)

    assert not watcher.alive(process)
    assert not watcher.watch(process)
    with pytest.raises(ConnectionAbortedError):
        identify(watcher, worker.pid)
    with pytest.raises(ProcessLookupError, match=f"process {worker.pid} has ended"):
        watcher.signal(process, signal.SIGTERM)


async def test_an_identified_process_that_became_a_zombie_has_ended(watcher: LinuxProcesses, start: Start) -> None:
    worker = start()
    process = identify(watcher, worker.pid)
    worker.kill()
    wait_until(lambda: is_zombie(worker.pid), "the worker is a zombie")

    # The loop has had no chance to look yet.
    assert not watcher.alive(process)
    with pytest.raises(ConnectionAbortedError):
        identify(watcher, worker.pid)
    with pytest.raises(ProcessLookupError):
        watcher.signal(process, signal.SIGTERM)


async def test_another_process_with_the_same_pid_is_another(
    watcher: LinuxProcesses, posted: list[Event], start: Start
) -> None:
    """A reused pid has another start time, or is of another boot."""
    worker = start()
    process = identity(worker.pid)
    for other in (
        replace(process, start_time=process.start_time - 1),
        replace(process, boot_id="0c5b5f57-90a0-4a0c-a9c4-1d8f8d8d7c22"),
        replace(process, start_time=0, boot_id="0c5b5f57-90a0-4a0c-a9c4-1d8f8d8d7c22"),
    ):
        assert not watcher.alive(other)
        assert not watcher.watch(other)
        with pytest.raises(ProcessLookupError):
            watcher.signal(other, signal.SIGKILL)
        watcher.forget(other)

    assert watcher.watch(process)
    assert worker.poll() is None
    assert posted == []


async def test_a_peer_of_another_pid_namespace_is_not_watched(watcher: LinuxProcesses) -> None:
    """Its pid is 0 here, whether the kernel gives a descriptor or not."""
    before = descriptors()

    for pidfd in (None, os.pidfd_open(os.getpid())):
        assert identify(watcher, 0, pidfd) == Process(0, 0, CLOCK.boot_id)
    assert descriptors() == before
    watcher.forget(Process(0, 0, CLOCK.boot_id))


async def test_what_cannot_be_seen_is_not_said_to_have_ended(watcher: LinuxProcesses, posted: list[Event]) -> None:
    """Its lock must not go to the next one because nobody here could look at its holder."""
    unseen = identify(watcher, 0)
    assert watcher.alive(unseen)
    assert watcher.watch(unseen)
    with pytest.raises(PermissionError, match="not to be seen"):
        watcher.signal(unseen, signal.SIGTERM)
    watcher.forget(unseen)
    watcher.forget(unseen)
    assert posted == []


async def test_without_descriptors_nobody_is_taken_for_somebody(watcher: LinuxProcesses, start: Start) -> None:
    worker = start()
    given = os.pidfd_open(worker.pid)
    before = descriptors()
    with no_descriptor_left():
        with pytest.raises(OSError, match="Too many open files"):
            identify(watcher, worker.pid, given)
        with pytest.raises(OSError, match="Too many open files"):
            identify(watcher, worker.pid)

    assert descriptors() == before - 1, "the given one was closed"
    assert identify(watcher, worker.pid) == identity(worker.pid)


async def test_a_restarted_daemon_watches_what_it_finds_in_its_journal(
    watcher: LinuxProcesses, posted: list[Event], start: Start
) -> None:
    worker, gone = start(), start()
    kept = identity(worker.pid), identity(gone.pid)
    end(gone)

    assert [watcher.alive(process) for process in kept] == [True, False]
    assert [watcher.watch(process) for process in kept] == [True, False]
    assert identify(watcher, worker.pid) == kept[0], "its reattaching session"
    end(worker)

    await eventually(lambda: posted, "the exit is posted")
    assert exits(posted) == [kept[0]]
    assert not watcher.watch(kept[0])


async def test_signals_arrive(watcher: LinuxProcesses, start: Start) -> None:
    watched, unwatched = start(), start()

    watcher.signal(identify(watcher, watched.pid), signal.SIGTERM)
    watcher.signal(identity(unwatched.pid), signal.SIGKILL)

    assert (watched.wait(15), unwatched.wait(15)) == (-signal.SIGTERM, -signal.SIGKILL)


@pytest.mark.root
async def test_without_the_right_to_signal_that_is_said(watcher: LinuxProcesses, start: Start) -> None:
    worker = start()
    process = identify(watcher, worker.pid)
    child = os.fork()
    if child == 0:
        os.setresuid(65534, 65534, 65534)
        try:
            watcher.signal(process, signal.SIGKILL)
        except PermissionError:
            os._exit(42)
        os._exit(1)

    _, status = os.waitpid(child, 0)  # noqa: ASYNC222  # it ends at once
    assert os.waitstatus_to_exitcode(status) == 42
    assert worker.poll() is None


def test_a_kernel_without_pidfds_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def not_implemented(pid: int, flags: int = 0) -> int:
        raise OSError(38, os.strerror(38))

    monkeypatch.setattr(os, "pidfd_open", not_implemented)
    with pytest.raises(StartupRefused, match="Function not implemented") as refusal:
        LinuxProcesses(lambda event: None, CLOCK, lambda uid, user: False)
    assert "Linux 5.3" in refusal.value.hint
