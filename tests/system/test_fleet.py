"""Several daemons on one Redis: who has a lease, what each host knows of the others, and tokens that only grow."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon import Daemon
from tests.support.frames import Frames, WireError
from tests.support.valkey import Valkey
from tests.support.waiting import wait_until


@pytest.fixture
def server() -> Iterator[Valkey]:
    with Valkey() as server:
        yield server


def host(directory: Path, name: str, server: Valkey, **more: object) -> Daemon:
    directory.mkdir(exist_ok=True)
    settings: dict[str, object] = {"redis.url": server.url, "daemon.host": name, "redis.ttl": 6, **more}
    return Daemon(directory, simulate=2, settings=settings)


def token(daemon: Daemon) -> int:
    with Frames(daemon.socket) as client:
        granted: int = client.call("acquire")["token"]
        client.call("release")
    return granted


def test_the_second_daemon_that_claims_a_gpu_is_refused_with_the_firsts_host_and_pid(
    tmp_path: Path, server: Valkey
) -> None:
    # Simulated GPUs get their UUIDs from the host's name: the same name is the same GPUs.
    with host(tmp_path / "a", "gpu-01", server) as first, host(tmp_path / "b", "gpu-01", server) as second:
        wait_until(lambda: all(gpu["elsewhere"] for gpu in second.status()["gpus"]), "its claim is answered")
        for gpu in second.status()["gpus"]:
            assert gpu["elsewhere"] == {"host": "gpu-01", "pid": first.pid}
            assert gpu["blocked"] == [f"leased by host gpu-01, pid {first.pid}"]
        assert f"leased by host gpu-01, pid {first.pid}" in second.output()
        with Frames(second.socket) as client, pytest.raises(WireError) as caught:
            client.call("acquire", wait_timeout=0)
        assert caught.value.code == "lease-unavailable"
        assert f"pid {first.pid}" in str(caught.value)
        assert token(first) > 0


def test_who_waits_for_a_lease_is_woken_when_it_is_let_go(tmp_path: Path, server: Valkey) -> None:
    with host(tmp_path / "a", "gpu-01", server) as first, host(tmp_path / "b", "gpu-01", server) as second:
        before = token(first)
        with Frames(second.socket) as client:
            request = client.send("acquire", wait_timeout="30s")
            assert first.stop() == 0  # nobody holds anything there: it lets its leases go, and says so
            assert client.receive(request)["token"] > before


def test_every_host_is_listed_through_any_daemon(tmp_path: Path, server: Valkey) -> None:
    with host(tmp_path / "a", "gpu-01", server) as first, host(tmp_path / "b", "gpu-02", server) as second:

        def known() -> list[str]:
            return sorted(each["host"] for each in first.call("status", fleet=True)["fleet"])

        wait_until(lambda: known() == ["gpu-01", "gpu-02"], "the first host has heard of the second")
        listed = {each["host"]: each for each in first.call("status", fleet=True)["fleet"]}
        assert (listed["gpu-01"]["pid"], listed["gpu-02"]["pid"]) == (first.pid, second.pid)
        assert all(each["simulated"] and len(each["gpus"]) == 2 for each in listed.values())
        shown = subprocess.run(
            [sys.executable, "-m", "gpulockd.ctl", "--socket", first.socket, "status", "--fleet"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert "gpu-01" in shown
        assert "gpu-02" in shown


def test_tokens_grow_through_restarts_of_the_daemon(tmp_path: Path, server: Valkey) -> None:
    tokens: list[int] = []
    with host(tmp_path / "a", "gpu-01", server) as daemon:
        for _ in range(3):
            tokens.append(token(daemon))
            daemon.kill()
            daemon.start()
    assert tokens == sorted(set(tokens)), [hex(each) for each in tokens]


def test_tokens_grow_though_the_journal_was_deleted(tmp_path: Path, server: Valkey) -> None:
    with host(tmp_path / "a", "gpu-01", server) as daemon:
        before = token(daemon)
        daemon.kill()
        for file in daemon.state.glob("journal.sqlite*"):
            file.unlink()
        daemon.start()
        assert token(daemon) > before


def test_tokens_grow_though_redis_was_emptied(tmp_path: Path, server: Valkey) -> None:
    with host(tmp_path / "a", "gpu-01", server) as daemon:
        before = token(daemon)
        server.client().flushall()
        daemon.kill()
        daemon.start()
        while_away = token(daemon)
        assert while_away > before

        claims = daemon.output().count("lease.claimed")
        server.client().flushall()
        wait_until(
            lambda: daemon.output().count("lease.claimed") > claims,
            "the running daemon has found its leases gone, and claimed them again",
        )
        assert token(daemon) > while_away
