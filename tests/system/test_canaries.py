"""Harmful canaries under real load: they end by themselves, and nobody outside of their share ever meets them."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gpulockd.core.canary import CANDIDATE, STABLE, variant_of
from tests.support.daemon import Daemon
from tests.support.valkey import Valkey
from tests.support.waiting import wait_until

from .load import BASE, HARMLESS, Load, daemon_of, ended, start, view

pytestmark = pytest.mark.system

HARMFUL = "# times half of the requests out\ngpu_lock: {max_wait_time: 50ms}\n"
"""Less than the time in which a turn comes round."""


def side(canary: Any, key: str) -> str:
    return variant_of(canary["id"], canary["percent"], hashlib.sha256(key.encode()).hexdigest())


def settled(load: Load, canary: Any, over: float) -> None:
    """Who gave up had the candidate, and nobody did who came after its end."""
    gave_up = [attempt for attempt in load.attempts if attempt.waited is not None]
    assert gave_up, "it did harm"
    assert {side(canary, attempt.key) for attempt in gave_up} == {CANDIDATE}
    assert {side(canary, attempt.key) for attempt in load.attempts} == {STABLE, CANDIDATE}
    assert [attempt for attempt in gave_up if attempt.began > over] == []


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "config.yml"
    file.write_text(BASE)
    return file


def test_a_harmful_candidate_ends_by_itself_though_the_daemon_is_killed_on_the_way(tmp_path: Path, file: Path) -> None:
    patient = {"canary.min_requests": 150}  # so that it still runs when the daemon is killed, however late that is
    with daemon_of(tmp_path, file, **patient) as daemon, Load(daemon) as load:
        canary = start(daemon, HARMFUL, 25)
        wait_until(lambda: view(daemon)["outcomes"]["candidate"]["timed_out"] >= 10, "it does harm")
        daemon.restart()
        after = view(daemon)
        assert (after["id"], after["percent"], after["course"]) == (canary["id"], 25, "running")
        wait_until(ended(daemon, "rolled-back"), lambda: str(view(daemon)), within=60)
        over = time.monotonic()
        assert "timed out" in view(daemon)["why"]
        wait_until(load.more(60), "the load goes on", within=60)
        daemon.restart()
        assert view(daemon)["course"] == "rolled-back"
        wait_until(load.more(30), "the load goes on after that too", within=60)
    settled(load, canary, over)
    assert file.read_text() == BASE


@pytest.fixture
def server() -> Iterator[Valkey]:
    with Valkey() as server:
        yield server


def fleet(tmp_path: Path, server: Valkey) -> tuple[Daemon, Daemon]:
    """Two hosts, each with a GPU and a copy of the file."""
    hosts = []
    for name in ("a", "b"):
        directory = tmp_path / name
        directory.mkdir()
        (directory / "config.yml").write_text(BASE)
        settings = {"redis.url": server.url, "redis.ttl": 6, "daemon.host": name}
        hosts.append(daemon_of(directory, directory / "config.yml", **settings))
    return hosts[0], hosts[1]


def test_one_command_steers_two_hosts_and_the_harm_on_one_ends_it_on_both(tmp_path: Path, server: Valkey) -> None:
    a, b = fleet(tmp_path, server)
    with a, b, Load(a, b) as load:
        canary = start(a, HARMFUL, 25)
        wait_until(ended(b, "running"), "the other host has it too")
        assert view(b)["id"] == canary["id"]
        wait_until(lambda: view(a)["outcomes"]["candidate"]["timed_out"] >= 5, "it does harm")
        a.restart()
        for each in (a, b):
            wait_until(ended(each, "rolled-back"), lambda: f"{view(a)} {view(b)}", within=60)
        over = time.monotonic()
        assert view(a)["why"] == view(b)["why"]
        wait_until(load.more(60), "the load goes on", within=60)
    settled(load, canary, over)
    with server.client() as client:
        assert client.pttl("gpulockd:{leases}:canary") > 0


def test_a_good_candidate_is_staged_on_one_host_and_promoted_on_the_other(tmp_path: Path, server: Valkey) -> None:
    a, b = fleet(tmp_path, server)
    with a, b:
        start(a, HARMLESS, 10)
        wait_until(ended(b, "running"), "the other host has it too")
        b.call("canary_stage", percent=50)
        wait_until(lambda: view(a)["percent"] == 50, "so has the first its share")
        with server.client() as client:
            client.flushall()
        wait_until(lambda: view(b)["shared"] and server_has(server), "the heartbeat tells a Redis that has forgotten")
        a.call("canary_promote", reason="nobody minds")
        for host in (a, b):
            wait_until(ended(host, "promoted"), "it is everybody's")
            wait_until(lambda host=host: (host.directory / "config.yml").read_text() == HARMLESS, "and in the file")  # type: ignore[misc]
            settings = {each["key"]: each["value"] for each in host.call("config")["settings"]}
            assert settings["gpu_lock.max_wait_time"] == 19 * 60
        entry = b.call("config_history", limit=5)["entries"]
        assert {"promote", "canary"} <= {each["how"] for each in entry}


def server_has(server: Valkey) -> bool:
    with server.client() as client:
        return bool(client.exists("gpulockd:{leases}:canary"))
