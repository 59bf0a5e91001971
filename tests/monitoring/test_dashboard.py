"""The dashboard: every query of it is run by a real Prometheus that scrapes a real daemon."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.docs.markdown import ROOT
from tests.support.daemon import Daemon
from tests.support.frames import Frames
from tests.support.ports import free_port
from tests.support.prometheus import Prometheus, program, promtool, scraping
from tests.support.waiting import wait_until

from .test_alerts import RULES, alerts, exported, named_in

DASHBOARD = ROOT / "monitoring" / "grafana" / "gpu_lock.json"
WITHOUT_REDIS = ("gpu_lock_lease_age_seconds", "gpu_lock_lease_ttl_seconds", "gpu_lock_redis_up")
"""What a daemon without Redis has no value of."""
NEVER_AT_REST = " > 0"
"""Ends the queries that show only what happens."""


class Target(NamedTuple):
    panel: str
    expression: str


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return found


def targets() -> list[Target]:
    return [Target(panel["title"], target["expr"]) for panel in dashboard()["panels"] for target in panel["targets"]]


def filled_in(expression: str) -> str:
    """The query as Grafana would send it."""
    values = {"$__rate_interval": "30s", "$job": "gpulockd", "$instance": ".*"}
    for variable, value in values.items():
        expression = expression.replace(variable, value)
    assert "$" not in expression, f"an unknown variable in {expression}"
    return expression


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """It has seen a daemon with a lock that ended, one that is held, and one that is waited for."""
    program("prometheus")
    directory = tmp_path_factory.mktemp("p")
    port = free_port()
    with (
        Daemon(directory, simulate=2, settings={"http.port": port}) as daemon,
        Frames(daemon.socket) as frames,
        Frames(daemon.socket) as other,
        scraping(free_port(), port, RULES, directory) as prometheus,
    ):
        wait_until(lambda: prometheus.query("count_over_time(up[1m]) > 1"), "two scrapes")
        frames.call("acquire", gpus=1, task="earlier")
        frames.call("release")
        frames.call("acquire", gpus=2, task="ocr")
        other.send("acquire", gpus=1, task="waiting")
        wait_until(
            lambda: prometheus.query("increase(gpu_lock_hold_time_seconds_count[30s]) > 0"), "the lock that ended"
        )
        yield prometheus


def test_the_dashboard_says_what_it_is() -> None:
    found = dashboard()
    assert (found["title"], found["uid"]) == ("GPU locks", "gpulockd")
    titles = [panel["title"] for panel in found["panels"]]
    assert len(titles) == len(set(titles)) > 15
    assert len({panel["id"] for panel in found["panels"]}) == len(titles)


def test_panels_do_not_lie_over_each_other() -> None:
    seen: dict[tuple[int, int], str] = {}
    for panel in dashboard()["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        for x in range(at["x"], at["x"] + at["w"]):
            for y in range(at["y"], at["y"] + at["h"]):
                assert seen.setdefault((x, y), panel["title"]) == panel["title"]


def test_everything_that_is_exported_can_be_seen() -> None:
    """In a panel, or in an alert: what nobody looks at need not be counted."""
    seen = {name for target in targets() for name in named_in(target.expression)}
    seen |= {name for rule in alerts().values() for name in named_in(rule["expr"])}
    assert seen <= exported()
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in seen}
    assert {name for name in exported() if re.sub(r"_(bucket|sum|count)$", "", name) not in families} == set()


@pytest.mark.slow
def test_every_query_has_an_answer(prometheus: Prometheus) -> None:
    empty = {target for target in targets() if not prometheus.query(filled_in(target.expression))}
    expected = {
        target
        for target in targets()
        if any(name in target.expression for name in WITHOUT_REDIS) or target.expression.endswith(NEVER_AT_REST)
    }
    assert empty == expected


@pytest.mark.slow
def test_it_shows_what_is_so(prometheus: Prometheus) -> None:
    by_panel = {target.panel: target for target in targets()}
    shown = {
        title: float(prometheus.query(filled_in(by_panel[title].expression))[0]["value"][1])
        for title in ("Can grant", "Waiting", "In vain")
    }
    assert shown == {"Can grant": 1, "Waiting": 1, "In vain": 0}


@pytest.mark.slow
def test_a_running_prometheus_takes_the_alerts(prometheus: Prometheus) -> None:
    def evaluated() -> bool:
        return all(rule["health"] == "ok" for rule in prometheus.rules())

    wait_until(evaluated, lambda: f"every rule was evaluated: {prometheus.rules()}")
    assert [rule["name"] for rule in prometheus.rules()] == list(alerts())
    firing = [rule["name"] for rule in prometheus.rules() if rule["state"] == "firing"]
    assert firing == []


@pytest.mark.slow
def test_promtool_finds_nothing_to_say_of_what_a_daemon_exports(tmp_path: Path) -> None:
    port = free_port()
    with Daemon(tmp_path, simulate=2, settings={"http.port": port}) as daemon, Frames(daemon.socket) as frames:
        frames.call("acquire", gpus=1)
        frames.call("release")
        frames.call("acquire", gpus=1)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            text = answer.read().decode()
    assert "gpu_lock_hold_time_seconds_count 1.0" in text
    assert promtool("check", "metrics", stdin=text) == ""
