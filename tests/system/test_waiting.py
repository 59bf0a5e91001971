"""Waiting is free: what a thousand waiting clients cost the daemon, and what they cost Redis."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.daemon import Daemon
from tests.support.frames import Frames
from tests.support.valkey import Valkey
from tests.support.waiting import wait_until

WAITERS = 1000
SECONDS = 20.0
TTL = 15.0
HEARTBEATS = SECONDS / (TTL / 5)


@pytest.fixture
def descriptors() -> Iterator[None]:
    """Room for all the clients in this one process."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def cpu_seconds(pid: int) -> float:
    """User and system time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def calls(server: Valkey) -> dict[str, int]:
    """How often each command was called, `info` itself aside."""
    stats = server.info("commandstats")
    found = {name.removeprefix("cmdstat_"): int(each["calls"]) for name, each in stats.items()}
    return {name: count for name, count in found.items() if name != "info"}


@pytest.mark.usefixtures("descriptors")
@pytest.mark.timeout(180)
def test_a_thousand_clients_wait_for_one_gpu(tmp_path: Path) -> None:
    with Valkey() as server, ExitStack() as clients:
        settings = {"redis.url": server.url, "redis.ttl": TTL}
        with Daemon(tmp_path, simulate=1, settings=settings) as daemon:
            holder = clients.enter_context(Frames(daemon.socket))
            holder.call("acquire")
            for _ in range(WAITERS):
                clients.enter_context(Frames(daemon.socket)).send("acquire", wait_timeout="1h")
            wait_until(lambda: len(daemon.call("queue")["queue"]) == WAITERS, "all of them wait")

            cpu, commands, began = cpu_seconds(daemon.pid), calls(server), time.monotonic()
            time.sleep(SECONDS)  # this is what is measured: so many seconds in which nothing happens
            elapsed = time.monotonic() - began
            used = (cpu_seconds(daemon.pid) - cpu) / elapsed
            new = {name: count - commands.get(name, 0) for name, count in calls(server).items()}

            assert used < 0.01, f"{used:.2%} of a core"
            sent = {name: count for name, count in new.items() if count and name != "info"}
            heartbeats = sent.get("evalsha", 0)
            assert HEARTBEATS - 2 <= heartbeats <= HEARTBEATS + 2, sent
            # Each heartbeat is one script, and calls of its own a few times for each GPU; no waiter adds one.
            assert sum(sent.values()) <= 16 * heartbeats, sent
            assert len(daemon.call("queue")["queue"]) == WAITERS
