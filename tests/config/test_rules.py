"""What must hold between settings, and whom a violation is told of."""

from __future__ import annotations

import math

import pytest

from gpulockd.config.keys import SETTINGS
from gpulockd.config.rules import RULES
from gpulockd.core import lease

from .conftest import Complaints, Loads


def levels(**seconds: float | str) -> str:
    lines = "\n".join(f"    {name}: {value}" for name, value in seconds.items())
    return f"gpu_lock_monitor:\n  timeout_levels:\n{lines}\n"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (
            levels(warning=3601),
            (
                "config.yml:3:14: gpu_lock_monitor.timeout_levels.warning: is 3601, but must be at most"
                " gpu_lock_monitor.timeout_levels.soft_timeout, 3600 by default"
                " (a holder is warned before it is asked to finish)"
            ),
        ),
        (
            levels(soft_timeout="3h"),
            (
                "config.yml:3:19: gpu_lock_monitor.timeout_levels.soft_timeout: is 10800, but must be at most"
                " gpu_lock_monitor.timeout_levels.hard_timeout, 7200 by default"
                " (a holder is asked to finish before its lock is taken back)"
            ),
        ),
        (
            levels(warning=60, soft_timeout=60, hard_timeout=3599),
            (
                "config.yml:5:19: gpu_lock_monitor.timeout_levels.hard_timeout: is 3599, but must be at least"
                " gpu_lock.lock_timeout, 3600 by default"
                " (no lock lasts longer than the hard timeout, so a default beyond it would not act)"
            ),
        ),
        (
            "gpu_lock: {lock_timeout: forever}\n",
            (
                "config.yml:1:26: gpu_lock.lock_timeout: is forever, but must be at most"
                " gpu_lock_monitor.timeout_levels.hard_timeout, 7200 by default"
                " (no lock lasts longer than the hard timeout, so a default beyond it would not act)"
            ),
        ),
        (
            "gpu_lock:\n  poll_interval: 3\n  max_poll_interval: 2.5\n",
            (
                "config.yml:2:18: gpu_lock.poll_interval: is 3, but must be at most gpu_lock.max_poll_interval,"
                " 2.5 from config.yml:3:22 (the pause between two polls only grows)"
            ),
        ),
        (
            "gpu_lock_monitor: {heartbeat: {timeout: 60}}\n",
            (
                "config.yml:1:41: gpu_lock_monitor.heartbeat.timeout: is 60, but must be more than"
                " gpu_lock_monitor.heartbeat.interval, 60 by default"
                " (a task that beats in time must not count as silent)"
            ),
        ),
        (
            "redis: {ttl: 5}\n",
            (
                "config.yml:1:14: redis.ttl: with a ttl of 5 s a renewal is sent 1 s after the last good one, and"
                " granting stops at 2.75 s: too soon for two attempts of 1 s"
                " (with an operation_timeout of 1 the ttl must be at least 6)"
            ),
        ),
        (
            "redis: {operation_timeout: 3}\n",
            (
                "config.yml:1:28: redis.operation_timeout: with a ttl of 15 s a renewal is sent 3 s after the last good"
                " one, and granting stops at 8.25 s: too soon for two attempts of 3 s"
                " (with an operation_timeout of 3 the ttl must be at least 18)"
            ),
        ),
    ],
)
def test_a_violation_is_told_where_somebody_set_something(content: str, complaint: str, complaints: Complaints) -> None:
    assert complaints(content) == [complaint]


@pytest.mark.parametrize(
    "content",
    [
        levels(warning=3600, soft_timeout=3600, hard_timeout=3600),
        levels(hard_timeout="forever") + "gpu_lock: {lock_timeout: forever}\n",
        "gpu_lock: {poll_interval: 10}\n",
        "gpu_lock_monitor: {heartbeat: {interval: 299.5}}\n",
        "redis: {ttl: 6}\n",
        "redis: {ttl: 5, operation_timeout: 0.5}\n",
        "redis: {ttl: 18, operation_timeout: 3}\n",
    ],
)
def test_the_bounds_themselves_are_allowed(content: str, loads: Loads) -> None:
    loads(content)


@pytest.mark.parametrize("timeout", [0.1, 0.5, 1, 2.5, 7])
def test_the_ttl_that_the_hint_names_is_enough_and_one_less_is_not(
    timeout: float, loads: Loads, complaints: Complaints
) -> None:
    enough = math.ceil((max(timeout, lease.RETRY) + timeout) / (lease.STOP - lease.RENEW))
    loads(f"redis: {{ttl: {max(enough, 5)}, operation_timeout: {timeout}}}\n")
    if enough - 1 >= 5:
        [line] = complaints(f"redis: {{ttl: {enough - 1}, operation_timeout: {timeout}}}\n")
        assert line.endswith(f"the ttl must be at least {enough})")


def test_a_rule_says_nothing_of_a_value_that_is_wrong_itself(complaints: Complaints) -> None:
    assert len(complaints("gpu_lock: {poll_interval: x, max_poll_interval: 1}\n")) == 1
    assert len(complaints("gpu_lock: {lock_timeout: 3h}\ngpu_lock_monitor: []\n")) == 1


def test_every_rule_is_about_settings_that_there_are() -> None:
    for rule in RULES:
        assert set(rule.keys) <= SETTINGS.keys()
