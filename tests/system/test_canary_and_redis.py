"""A canary while Redis is busy for real: by its own figures, and by the limit that is the default."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.daemon import Daemon
from tests.support.valkey import Valkey
from tests.support.waiting import PATIENCE, wait_until

from .load import BASE, HARMLESS, Crew, Load, daemon_of, ended, start, view

pytestmark = pytest.mark.system

HEAVY = "local sum = 0 for i = 1, 4000000 do sum = sum + i end return sum"
"""Some ten milliseconds of a processor: long enough that its clients cost next to nothing, and short enough for a
heartbeat to get in between."""
CLIENTS = 4
"""While one of them reads its answer, there is work for the server, also where that takes a while."""
BUSY = 0.8
"""`canary.max_redis_cpu` at its default."""


class Hammer(Crew):
    """Clients that send one heavy script after the other for as long as it lasts."""

    def __init__(self, server: Valkey) -> None:
        super().__init__(CLIENTS)
        self._server = server

    def _work(self, number: int) -> None:
        with self._server.client() as client:
            while not self._over.is_set():
                client.eval(HEAVY, 0)


class Used(NamedTuple):
    """Of a processor, by a server, so far."""

    seconds: float
    at: float

    @classmethod
    def by(cls, server: Valkey) -> Used:
        figures = server.info("cpu")
        return cls(figures["used_cpu_user"] + figures["used_cpu_sys"], time.monotonic())

    def share_since(self, before: Used) -> float:
        return (self.seconds - before.seconds) / (self.at - before.at)


@pytest.fixture
def server() -> Iterator[Valkey]:
    with Valkey() as server:
        with contextlib.suppress(PermissionError):  # what else the machine does must not take its processor away
            os.sched_setscheduler(server.pid, os.SCHED_RR, os.sched_param(1))
        yield server


@pytest.fixture
def daemon(tmp_path: Path, server: Valkey) -> Iterator[Daemon]:
    (tmp_path / "config.yml").write_text(BASE)
    with daemon_of(tmp_path, tmp_path / "config.yml", **{"redis.url": server.url, "redis.ttl": 6}) as running:
        yield running


def heartbeats(server: Valkey) -> int:
    """Every script that was called by its digest; the hammer sends its text."""
    return int(server.info("commandstats")["cmdstat_evalsha"]["calls"])


def judged(daemon: Daemon, more: int) -> bool:
    """Whether so many more of the candidate's requests have ended than it takes to be judged."""
    seen = view(daemon)
    return bool(sum(seen["outcomes"]["candidate"].values()) >= seen["thresholds"]["min_requests"] + more)


def rolled_back(daemon: Daemon) -> bool:
    time.sleep(0.2)  # each look takes something of a processor, too
    return ended(daemon, "rolled-back")()


def test_a_busy_redis_ends_a_canary_and_a_calm_one_does_not(daemon: Daemon, server: Valkey) -> None:
    with Load(daemon, workers=3, hold=0.05):
        canary = start(daemon, HARMLESS, 50)
        assert canary["thresholds"]["redis_cpu"] == BUSY

        # Traffic enough, and heartbeats: nothing happens.
        wait_until(lambda: judged(daemon, 20), lambda: str(view(daemon)), within=2 * PATIENCE)
        calm, before = Used.by(server), heartbeats(server)
        wait_until(lambda: heartbeats(server) >= before + 5, "heartbeats that could tell", within=2 * PATIENCE)
        assert Used.by(server).share_since(calm) < BUSY / 2
        assert (view(daemon)["course"], view(daemon)["why"]) == ("running", "")

        # The same, and a Redis that computes all the time.
        with Hammer(server):
            busy = Used.by(server)
            deadline = busy.at + 3 * PATIENCE
            wait_until(lambda: rolled_back(daemon) or time.monotonic() > deadline, within=4 * PATIENCE)
            share = Used.by(server).share_since(busy)
        if view(daemon)["course"] == "running" and share < BUSY + 0.1:
            pytest.skip(f"this machine gave the server {share:.0%} of a processor, and it takes more than {BUSY:.0%}")
        assert view(daemon)["course"] == "rolled-back"

    # The daemon did it, and says why, with what it measured.
    said = re.fullmatch(r"Redis takes (\d+)% of a processor, and 80% is the most", view(daemon)["why"])
    assert said is not None
    assert 80 < int(said[1]) <= 110
    entry = daemon.call("config_history", limit=1)["entries"][0]
    assert (entry["how"], entry["user"], entry["uid"]) == ("canary", "gpulockd", None)
    assert entry["reason"] == f"canary {canary['id']}: rolled-back: {said[0]}"
    assert (daemon.directory / "config.yml").read_text() == BASE
    assert said[0] in daemon.output()
