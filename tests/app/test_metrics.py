"""What a running daemon exports of its parts: they are joined to what counts them."""

from __future__ import annotations

import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gpulockd.monitor.pulse import INTERVAL
from tests.support.daemon import Daemon
from tests.support.frames import Frames
from tests.support.ports import free_port
from tests.support.valkey import Valkey
from tests.support.waiting import wait_until


class Scraped:
    """A daemon, and its metrics as a scraper sees them."""

    def __init__(self, directory: Path, **settings: object) -> None:
        directory.mkdir(exist_ok=True)
        self._port = free_port()
        self.daemon = Daemon(directory, simulate=2, settings={"http.port": self._port, **settings})

    def metrics(self) -> dict[str, float]:
        """Values by name; of those with labels, the name is `name{value}`."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/metrics", timeout=10) as answer:
            families = text_string_to_metric_families(answer.read().decode())
        return {
            sample.name + (f"{{{','.join(sample.labels.values())}}}" if sample.labels else ""): sample.value
            for family in families
            for sample in family.samples
        }


def test_what_happens_to_a_lock_is_counted(tmp_path: Path) -> None:
    scraped = Scraped(tmp_path)
    with scraped.daemon as daemon:
        before = scraped.metrics()
        with Frames(daemon.socket) as frames:
            frames.call("acquire")
            frames.call("release")

        def counted() -> dict[str, float]:
            after = scraped.metrics()
            return after if after["gpu_lock_hold_time_seconds_count"] else {}

        after = wait_until(counted, "a scrape that has seen the lock")
    assert after["gpu_lock_acquisitions_total{granted}"] == 1
    assert after["gpu_lock_wait_time_seconds_count{granted}"] == 1
    assert after["gpu_lock_ends_total{released}"] == 1
    name = "gpu_lock_journal_commit_seconds_count"
    assert after[name] == before[name] + 2, "the grant, and the release"
    assert after["gpu_lock_config_poll_interval_seconds"] == 2
    assert "gpu_lock_redis_up" not in after


def test_the_engine_has_a_pulse(tmp_path: Path) -> None:
    scraped = Scraped(tmp_path)
    with scraped.daemon:
        wait_until(lambda: scraped.metrics()["gpu_lock_engine_lag_seconds_count"] >= 1, "a beat", within=3 * INTERVAL)


@pytest.mark.redis
def test_what_redis_takes_and_that_it_is_up(tmp_path: Path) -> None:
    with Valkey() as server:
        settings: dict[str, object] = {"redis.url": server.url, "redis.ttl": 6, "daemon.host": "gpu-01"}
        first, second = Scraped(tmp_path / "a", **settings), Scraped(tmp_path / "b", **settings)
        with first.daemon:
            wait_until(lambda: first.metrics()["gpu_lock_redis_operation_seconds_count{renew}"] >= 1, "a renewal")
            seen = first.metrics()
            assert seen["gpu_lock_redis_operation_seconds_count{claim}"] >= 1
            assert (seen["gpu_lock_redis_up"], seen["gpu_lock_polls_total"]) == (1, 0)
            with second.daemon:
                # The same host twice: the second one is refused the leases, and asks again.
                assert second.metrics()["gpu_lock_polls_total"] >= 1
                assert second.metrics()["gpu_lock_can_grant"] == 0
            server.stop()
            wait_until(lambda: first.metrics()["gpu_lock_redis_up"] == 0, "Redis is missed")
