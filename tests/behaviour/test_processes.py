"""Real processes that hold and wait: killed, interrupted, outlived by their children."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest

from tests.support import processes
from tests.support.daemon import Daemon
from tests.support.frames import Frames
from tests.support.waiting import PATIENCE, wait_until

from .test_locks import waiting

pytestmark = pytest.mark.system

Run = Callable[..., "subprocess.Popen[str]"]

HOLD = """
    import gpulock, time
    lock = gpulock.acquire(gpus=3)
    print(lock.token, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def run(daemon: Daemon) -> Iterator[Run]:
    """Starts Python programs, which are ended with the test."""
    with ExitStack() as programs:

        def start(program: str, **options: object) -> subprocess.Popen[str]:
            process = processes.start(
                [sys.executable, "-c", textwrap.dedent(program)],
                environment={"GPULOCK_SOCKET": daemon.socket},
                **options,  # type: ignore[arg-type]
            )
            programs.callback(processes.end, process)
            return process

        yield start


def said(process: subprocess.Popen[str]) -> str:
    """The next line that it prints."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        assert process.stderr is not None
        raise AssertionError(f"it ended: {process.stderr.read()}")
    return line.strip()


def test_a_killed_holder_is_followed_by_the_next_in_line(run: Run, daemon: Daemon) -> None:
    holder = run(HOLD)
    first = int(said(holder))
    with closing(Frames(daemon.socket)) as next_in_line:
        request = next_in_line.send("acquire")
        wait_until(lambda: waiting(daemon) == 1, "it waits")
        holder.kill()
        assert next_in_line.receive(request)["token"] > first


def test_a_child_that_still_has_the_socket_open_keeps_no_lock(run: Run, daemon: Daemon) -> None:
    holder = run("""
        import gpulock, os, subprocess, sys, time
        lock = gpulock.acquire(gpus=3)
        copy = os.dup(lock._connection.fileno())
        os.set_inheritable(copy, True)
        child = subprocess.Popen(["sleep", "600"], close_fds=False)
        print(child.pid, copy, flush=True)
        time.sleep(600)
    """)
    child, copy = map(int, said(holder).split())
    try:
        os.kill(holder.pid, signal.SIGKILL)
        wait_until(lambda: not daemon.status()["locks"], "the lock is freed")
        assert os.readlink(f"/proc/{child}/fd/{copy}").startswith("socket:")  # noqa: PTH115
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_killed_waiter_leaves_no_request(run: Run, daemon: Daemon) -> None:
    said(run(HOLD))
    waiter = run(HOLD)
    wait_until(lambda: waiting(daemon) == 1, "it waits")
    waiter.kill()
    wait_until(lambda: waiting(daemon) == 0, "the request is gone")


def test_ctrl_c_ends_a_wait(run: Run, daemon: Daemon) -> None:
    said(run(HOLD))
    waiter = run(
        """
        import gpulock, sys
        try:
            gpulock.acquire()
        except KeyboardInterrupt:
            print("interrupted", flush=True)
            sys.stdin.read()
    """,
        stdin=subprocess.PIPE,
    )
    wait_until(lambda: waiting(daemon) == 1, "it waits")
    waiter.send_signal(signal.SIGINT)
    assert said(waiter) == "interrupted"
    wait_until(lambda: waiting(daemon) == 0, "the request is gone though the process goes on")
    assert waiter.poll() is None


def test_ctrl_c_in_a_block_releases(run: Run, daemon: Daemon) -> None:
    holder = run(
        """
        import gpulock, sys, time
        try:
            with gpulock.acquire():
                print("in", flush=True)
                time.sleep(600)
        except KeyboardInterrupt:
            print("out", flush=True)
            sys.stdin.read()
    """,
        stdin=subprocess.PIPE,
    )
    assert said(holder) == "in"
    holder.send_signal(signal.SIGINT)
    assert said(holder) == "out"
    wait_until(lambda: not daemon.status()["locks"], "the lock is released though the process goes on")


def test_a_holder_that_does_not_let_go_is_ended_in_time(run: Run, daemon: Daemon) -> None:
    holder = run("""
        import gpulock, time
        lock = gpulock.acquire(on_lost=lambda lock: print("lost", lock.lost_reason, flush=True))
        print(lock.id, flush=True)
        time.sleep(600)
    """)
    lock = said(holder)
    daemon.call("revoke", subject=lock)
    assert said(holder) == "lost revoked"
    daemon.call("revoke", subject=lock, grace=0.2)  # it has heard of it: the rest of its time may be short
    assert holder.wait(PATIENCE) == -signal.SIGTERM
    wait_until(lambda: not daemon.status()["locks"], "the lock is free")


def test_a_process_that_ends_without_a_word_says_nothing_wrong(run: Run, daemon: Daemon) -> None:
    careless = run("""
        import gpulock
        lock = gpulock.acquire()
        gpulock.acquire(nested=False).release()
        print(lock.id, flush=True)
    """)
    said(careless)
    assert careless.stderr is not None
    assert careless.stderr.read() == ""
    assert careless.wait(PATIENCE) == 0
    wait_until(lambda: not daemon.status()["locks"], "the lock is free")


def test_threads_of_one_process_take_turns(run: Run) -> None:
    program = run("""
        import gpulock, threading
        inside, most, tokens = [], [], []

        def work():
            for _ in range(20):
                with gpulock.acquire(gpus=3) as lock:
                    inside.append(1)
                    most.append(len(inside))
                    tokens.append(lock.token)
                    inside.pop()

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print(max(most), len(tokens), tokens == sorted(set(tokens)), flush=True)
    """)
    assert said(program) == "1 160 True"


def test_importing_the_client_loads_little(run: Run) -> None:
    program = run("""
        import sys
        import gpulock
        gpulock.acquire
        heavy = {"asyncio", "typing", "inspect", "dataclasses", "subprocess", "logging", "argparse", "gpulock.aio"}
        print(sorted(heavy & set(sys.modules)), flush=True)
    """)
    assert said(program) == "[]"


def test_two_processes_that_would_wait_for_each_other_are_told_at_once(run: Run, daemon: Daemon) -> None:
    def holder_of(own: int, *, then: int) -> subprocess.Popen[str]:
        return run(
            f"""
            import gpulock, time
            with gpulock.acquire(gpus=["{own}"]):
                print("holds", flush=True)
                input()
                began = time.monotonic()
                try:
                    with gpulock.acquire(gpus=["{then}"]):
                        print("has both", flush=True)
                except gpulock.Deadlock as error:
                    print(time.monotonic() - began, error.message, flush=True)
            """,
            stdin=subprocess.PIPE,
        )

    first, second = holder_of(0, then=1), holder_of(1, then=0)
    assert [said(first), said(second)] == ["holds", "holds"]
    go_on(first)
    wait_until(lambda: waiting(daemon) == 1, "the first one waits")
    go_on(second)
    seconds, _, story = said(second).partition(" ")
    assert float(seconds) < 5, "at once, and not when a wait of half an hour is over"
    assert f"(pid {second.pid}) holds GPU 1 as" in story
    assert f"(pid {first.pid}) holds GPU 0 as" in story
    assert said(first) == "has both"


def go_on(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
