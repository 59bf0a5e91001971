"""Who a daemon is, and when another one may be called dead."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys

import pytest

from gpulockd.core.model import Process
from gpulockd.leases import identity as module
from gpulockd.leases.identity import Identity
from tests.support import processes
from tests.support.waiting import wait_until

ME = Identity.of_this_process("host-a")


def of(process: subprocess.Popen[str]) -> Identity:
    """As the process would say of itself."""
    start_time = module._start_time(module._stat(process.pid))
    return dataclasses.replace(ME, process=Process(process.pid, start_time, ME.process.boot_id), instance="another")


@pytest.fixture
def sleeper() -> object:
    process = processes.start([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    processes.end(process)


def test_each_run_is_another_instance_of_the_same_process() -> None:
    other = Identity.of_this_process("host-a")
    assert other.instance != ME.instance
    assert other.process == ME.process
    assert ME.process.pid == os.getpid()
    assert ME.process.start_time > 0
    assert len(ME.process.boot_id) == 36


def test_it_survives_the_way_through_redis() -> None:
    assert Identity.from_document(ME.document()) == ME


@pytest.mark.parametrize("document", [{}, {**ME.document(), "pid": "no number"}, {"host": "host-a", "pid": 1}])
def test_something_else_is_no_identity(document: dict[str, object]) -> None:
    with pytest.raises((KeyError, ValueError)):
        Identity.from_document(document)


def test_a_living_process_is_not_dead(sleeper: subprocess.Popen[str]) -> None:
    assert not ME.knows_dead(of(sleeper))
    assert not ME.knows_dead(ME)


def test_a_frozen_process_is_not_dead(sleeper: subprocess.Popen[str]) -> None:
    sleeper.send_signal(signal.SIGSTOP)
    wait_until(lambda: module._state(module._stat(sleeper.pid)) == "T")
    assert not ME.knows_dead(of(sleeper))


def test_a_killed_process_is_dead_before_and_after_it_is_reaped(sleeper: subprocess.Popen[str]) -> None:
    other = of(sleeper)
    sleeper.kill()
    wait_until(lambda: module._state(module._stat(sleeper.pid)) == "Z")
    assert ME.knows_dead(other)
    sleeper.wait()
    assert ME.knows_dead(other)


def test_a_reused_pid_is_another_process(sleeper: subprocess.Popen[str]) -> None:
    other = of(sleeper)
    earlier = dataclasses.replace(other.process, start_time=other.process.start_time - 1)
    assert ME.knows_dead(dataclasses.replace(other, process=earlier))


def test_nobody_of_another_boot_or_pid_namespace_is_judged(sleeper: subprocess.Popen[str]) -> None:
    other = of(sleeper)
    sleeper.kill()
    sleeper.wait()
    assert ME.knows_dead(other)
    elsewhere = dataclasses.replace(other.process, boot_id="00000000-0000-0000-0000-000000000000")
    assert not ME.knows_dead(dataclasses.replace(other, process=elsewhere))
    assert not ME.knows_dead(dataclasses.replace(other, pid_namespace=other.pid_namespace + 1))


def test_a_process_that_proc_hides_is_not_called_dead(
    sleeper: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = of(sleeper)

    def hidden(pid: int) -> list[str]:
        raise FileNotFoundError(pid)

    monkeypatch.setattr(module, "_stat", hidden)
    assert not ME.knows_dead(other)
