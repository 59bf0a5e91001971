"""Workers that are stopped, become another program, or close half of their connection."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support import processes
from tests.support.daemon import Daemon
from tests.support.frames import Frames, WireError
from tests.support.waiting import PATIENCE, wait_until

pytestmark = pytest.mark.system

GRACE = 1.0
"""Seconds in which who holds has to be back after a restart."""
BLOCKING = """
    import gpulock, sys
    try:
        with gpulock.acquire(on_lost=lambda lock: print(lock.lost_reason, flush=True)) as lock:
            print(lock.token, flush=True)
            sys.stdin.read()
    except gpulock.LockLost as error:
        print(type(error).__name__, flush=True)
"""
ASYNCIO = """
    import asyncio, gpulock, gpulock.aio, sys
    async def main():
        lost = lambda lock: print(lock.lost_reason, flush=True)
        async with gpulock.aio.acquire(on_lost=lost) as lock:
            print(lock.token, flush=True)
            await asyncio.to_thread(sys.stdin.read)
    try:
        asyncio.run(main())
    except gpulock.LockLost as error:
        print(type(error).__name__, flush=True)
"""
Start = Callable[[str], "subprocess.Popen[str]"]


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    settings: dict[str, object] = {"daemon.reattach_grace": GRACE, "daemon.kill_grace": 0.2}
    with Daemon(tmp_path, simulate=1, settings=settings) as daemon:
        yield daemon


@pytest.fixture
def start(daemon: Daemon) -> Iterator[Start]:
    """Starts a Python program that ends with the test, stopped or not."""
    with ExitStack() as programs:

        def start(program: str) -> subprocess.Popen[str]:
            process = processes.start(
                [sys.executable, "-c", textwrap.dedent(program)],
                environment={"GPULOCK_SOCKET": daemon.socket},
                stdin=subprocess.PIPE,
                stderr=None,
            )
            programs.callback(processes.end, process)
            return process

        yield start


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def stop(process: subprocess.Popen[str]) -> None:
    """SIGSTOP, and waits until it has stopped."""
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)


def locks(daemon: Daemon) -> list[dict[str, Any]]:
    held: list[dict[str, Any]] = daemon.status()["locks"]
    return held


@pytest.mark.parametrize("program", [BLOCKING, ASYNCIO], ids=["blocking", "asyncio"])
def test_a_stopped_holder_that_lost_its_lock_hears_so_when_it_goes_on(
    daemon: Daemon, start: Start, program: str
) -> None:
    holder = start(program)
    token = int(said(holder))
    stop(holder)
    daemon.restart()
    with Frames(daemon.socket) as next_one:
        granted = next_one.call("acquire", wait_timeout=10 * GRACE)
        assert granted["token"] > token
        holder.send_signal(signal.SIGCONT)
        assert said(holder) == "not-reattached"
        assert holder.stdin is not None
        holder.stdin.close()
        assert said(holder) == "LockLost"
        assert [lock["token"] for lock in locks(daemon)] == [granted["token"]], "it took nothing from its successor"
        next_one.call("beat")


def test_a_stopped_holder_can_be_ended(daemon: Daemon, start: Start) -> None:
    holder = start(BLOCKING)
    token = int(said(holder))
    stop(holder)
    with Frames(daemon.socket) as next_one:
        request = next_one.send("acquire", wait_timeout=30)
        daemon.call("revoke", subject="0", grace=0.2)
        assert next_one.receive(request)["token"] > token
        assert holder.wait(PATIENCE) == -signal.SIGKILL


def test_a_stopped_holder_keeps_its_lock_however_long_it_is_stopped(daemon: Daemon, start: Start) -> None:
    holder = start(BLOCKING)
    token = int(said(holder))
    stop(holder)
    with Frames(daemon.socket) as next_one:
        with pytest.raises(WireError, match="wait-timeout"):
            next_one.call("acquire", wait_timeout=0.5)
        holder.send_signal(signal.SIGCONT)
        assert [lock["token"] for lock in locks(daemon)] == [token]


def test_who_becomes_another_program_gives_its_lock_back(daemon: Daemon, start: Start) -> None:
    """The new program knows of no lock, and the connection of the old one is not inherited."""
    holder = start("""
        import gpulock, os, sys
        lock = gpulock.acquire()
        print(lock.token, flush=True)
        sys.stdin.readline()
        os.execvp("sleep", ["sleep", "600"])
    """)
    token = int(said(holder))
    with Frames(daemon.socket) as next_one:
        request = next_one.send("acquire", wait_timeout=30)
        assert holder.stdin is not None
        holder.stdin.write("\n")
        holder.stdin.flush()
        assert next_one.receive(request)["token"] > token
    assert holder.poll() is None, "it lives"


def test_a_program_that_was_left_the_connection_has_the_lock(daemon: Daemon, start: Start) -> None:
    """It is the same process, says the kernel: what was granted to it is its own until it ends."""
    holder = start("""
        import msgpack, os, socket
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(os.environ["GPULOCK_SOCKET"])
        sock.sendall(msgpack.packb([0, 1, "acquire", []]))
        print(msgpack.unpackb(sock.recv(65536))[3]["token"], flush=True)
        sock.set_inheritable(True)
        os.execvp("sleep", ["sleep", "600"])
    """)
    token = int(said(holder))
    wait_until(lambda: Path(f"/proc/{holder.pid}/comm").read_text() == "sleep\n", "it is another program")
    assert [(lock["token"], lock["owner"]["pid"]) for lock in locks(daemon)] == [(token, holder.pid)]
    with Frames(daemon.socket) as next_one:
        request = next_one.send("acquire", wait_timeout=30)
        holder.kill()
        assert next_one.receive(request)["token"] > token


def test_a_holder_that_closes_half_has_let_go(daemon: Daemon) -> None:
    with Frames(daemon.socket) as holder, Frames(daemon.socket) as next_one:
        token = holder.call("acquire")["token"]
        request = next_one.send("acquire", wait_timeout=30)
        holder.socket.shutdown(socket.SHUT_WR)
        assert next_one.receive(request)["token"] > token
        with pytest.raises(EOFError):
            holder.receive(0)


def test_a_holder_that_closes_its_other_half_is_as_gone(daemon: Daemon) -> None:
    """It will not read what it is told: the daemon finds out when it tells it something."""
    with Frames(daemon.socket) as holder, Frames(daemon.socket) as next_one:
        token = holder.call("acquire")["token"]
        request = next_one.send("acquire", wait_timeout=30)
        holder.socket.shutdown(socket.SHUT_RD)
        holder.send("beat")
        assert next_one.receive(request)["token"] > token


def test_a_waiter_that_closes_half_waits_no_more(daemon: Daemon) -> None:
    with Frames(daemon.socket) as holder, Frames(daemon.socket) as waiter:
        holder.call("acquire")
        waiter.send("acquire", wait_timeout=30)
        wait_until(lambda: daemon.call("queue")["queue"], "it waits")
        waiter.socket.shutdown(socket.SHUT_WR)
        wait_until(lambda: not daemon.call("queue")["queue"], "its request is gone")
        holder.call("release")
        assert locks(daemon) == []
