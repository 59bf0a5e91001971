"""Workers tell what they saw or why they could not, and do not outlive the one that started them."""

from __future__ import annotations

import os
import signal
import sys

import psutil
import pytest

from bench.workers import Told, Worker, WorkerFailed, crew
from tests.support import processes
from tests.support.waiting import PATIENCE, wait_until


def _double(told: Told, index: int, factor: int) -> None:
    told.send(told.recv() * factor + index)


def _fail(told: Told) -> None:
    raise ValueError("no such lock")


def _vanish(told: Told) -> None:
    os._exit(3)


def test_a_crew_is_told_and_tells() -> None:
    with crew(3, _double, 10) as workers:
        for worker in workers:
            worker.tell(4)
        assert [worker.hear() for worker in workers] == [40, 41, 42]
        pids = [worker.pid for worker in workers]
    assert not any(psutil.pid_exists(pid) for pid in pids)


@pytest.mark.parametrize(("work", "story"), [(_fail, "ValueError: no such lock"), (_vanish, "ended with 3")])
def test_a_worker_that_fails_says_why(work: object, story: str) -> None:
    assert callable(work)
    worker = Worker(work)
    try:
        with pytest.raises(WorkerFailed, match=story):
            worker.hear(PATIENCE)
    finally:
        worker.end()


_PARENT = """
import time
from bench.workers import Worker
print(Worker(lambda _: time.sleep(600)).pid, flush=True)
time.sleep(600)
"""


def test_workers_end_with_a_parent_that_is_killed() -> None:
    parent = processes.start([sys.executable, "-c", _PARENT])
    try:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        parent.send_signal(signal.SIGKILL)
        wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, "the worker ends too")
    finally:
        processes.end(parent)
