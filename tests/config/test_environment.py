"""The environment goes before the file, under new names and old; what names nothing is an error."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpulockd.config import Config
from gpulockd.config.environment import NAMES, OLDER_NAMES
from gpulockd.config.keys import SETTINGS, value_of

from .conftest import Complaints, Loads


def test_every_setting_has_a_name() -> None:
    assert list(NAMES.values()) == list(SETTINGS)
    assert NAMES["GPULOCKD__DAEMON__SOCKET"] == "daemon.socket"
    assert NAMES["GPULOCKD__GPU_LOCK_MONITOR__TIMEOUT_LEVELS__WARNING"] == ("gpu_lock_monitor.timeout_levels.warning")
    assert OLDER_NAMES["GPU_LOCK_POLL_INTERVAL"] == "gpu_lock.poll_interval"
    assert OLDER_NAMES["GPU_LOCK_MAX_WAIT_TIME"] == "gpu_lock.max_wait_time"
    assert len(OLDER_NAMES) == sum(key.startswith("gpu_lock.") for key in SETTINGS)


@pytest.mark.parametrize(
    ("name", "text", "key", "value"),
    [
        ("GPULOCKD__GPU_LOCK__MAX_WAIT_TIME", "30m", "gpu_lock.max_wait_time", 1800.0),
        ("GPULOCKD__GPU_LOCK__MAX_WAIT_TIME", "90", "gpu_lock.max_wait_time", 90.0),
        ("GPULOCKD__GPU_LOCK__USE_EVENT_DRIVEN", "false", "gpu_lock.use_event_driven", False),
        ("GPULOCKD__GPU_LOCK_MONITOR__HEARTBEAT__INTERVAL", "5", "gpu_lock_monitor.heartbeat.interval", 5.0),
        ("GPULOCKD__DAEMON__ADMINS", "[alice, 1001]", "daemon.admins", ("alice", 1001)),
        ("GPULOCKD__DAEMON__ADMINS", '["alice", "bob"]', "daemon.admins", ("alice", "bob")),
        ("GPULOCKD__DAEMON__HOST", "123", "daemon.host", "123"),
        ("GPULOCKD__DAEMON__STATE_DIR", "/tmp/a: b", "daemon.state_dir", Path("/tmp/a: b")),
        ("GPULOCKD__DAEMON__LOG_LEVEL", "debug", "daemon.log_level", "debug"),
        ("GPULOCKD__REDIS__URL", "redis://u:p#w@h/1", "redis.url", "redis://u:p#w@h/1"),
        ("GPULOCKD__HTTP__PORT", "0", "http.port", 0),
        ("GPULOCKD__INVENTORY__ORPHANS", "kill", "inventory.orphans", "kill"),
        ("GPU_LOCK_POLL_INTERVAL", "0.5", "gpu_lock.poll_interval", 0.5),
        ("GPU_LOCK_MAX_WAIT_TIME", "300", "gpu_lock.max_wait_time", 300.0),
        ("GPU_LOCK_LOCK_TIMEOUT", "600", "gpu_lock.lock_timeout", 600.0),
    ],
)
def test_a_variable_sets_its_setting(name: str, text: str, key: str, value: object, loads: Loads) -> None:
    loaded = loads("{}", {name: text})
    assert value_of(loaded.config, key) == value
    assert {key: origin for key, origin in loaded.origins.items() if origin != "default"} == {
        key: f"environment {name}"
    }


def test_the_environment_goes_before_the_file_and_new_names_before_old(loads: Loads) -> None:
    content = "gpu_lock:\n  poll_interval: 3\n  max_wait_time: 4\n  lock_timeout: 5\n"
    environ = {
        "GPU_LOCK_POLL_INTERVAL": "6",
        "GPU_LOCK_MAX_WAIT_TIME": "7",
        "GPULOCKD__GPU_LOCK__MAX_WAIT_TIME": "8",
    }
    loaded = loads(content, environ)
    lock = loaded.config.gpu_lock
    assert (lock.poll_interval, lock.max_wait_time, lock.lock_timeout) == (6, 8, 5)
    assert loaded.origins["gpu_lock.poll_interval"] == "environment GPU_LOCK_POLL_INTERVAL"
    assert loaded.origins["gpu_lock.max_wait_time"] == "environment GPULOCKD__GPU_LOCK__MAX_WAIT_TIME"
    assert loaded.origins["gpu_lock.lock_timeout"] == "config.yml:4:17"
    assert loaded.origins["gpu_lock.max_poll_interval"] == "default"


def test_a_variable_mends_what_is_wrong_in_the_file(loads: Loads) -> None:
    assert loads("http: {port: many}", {"GPULOCKD__HTTP__PORT": "1"}).config.http.port == 1


@pytest.mark.parametrize(
    ("environ", "url", "origin"),
    [
        ({"REDIS_HOST": "r"}, "redis://r:6379/0", "environment REDIS_HOST"),
        (
            {"REDIS_HOST": "r", "REDIS_PORT": "7", "REDIS_LOCK_DB": "2"},
            "redis://r:7/2",
            "environment REDIS_HOST, REDIS_PORT, REDIS_LOCK_DB",
        ),
        ({"REDIS_LOCK_DB": "3"}, "redis://localhost:6379/3", "environment REDIS_LOCK_DB"),
        ({"REDIS_HOST": "::1"}, "redis://[::1]:6379/0", "environment REDIS_HOST"),
        ({"REDIS_HOST": "", "REDIS_PORT": " "}, "", "config.yml:1:14"),
        ({"REDIS_HOST": "r", "GPULOCKD__REDIS__URL": "redis://x"}, "redis://x", "environment GPULOCKD__REDIS__URL"),
        ({"REDIS_HOST": "r", "GPULOCKD__REDIS__URL": ""}, "", "environment GPULOCKD__REDIS__URL"),
    ],
)
def test_the_older_names_make_up_the_redis_url(environ: dict[str, str], url: str, origin: str, loads: Loads) -> None:
    loaded = loads("redis: {url: ''}", environ)
    assert (loaded.config.redis.url, loaded.origins["redis.url"]) == (url, origin)


def test_a_redis_url_in_the_file_goes_before_the_older_names(loads: Loads) -> None:
    loaded = loads("redis: {url: 'redis://file'}", {"REDIS_HOST": "r", "REDIS_PORT": "nonsense"})
    assert (loaded.config.redis.url, loaded.origins["redis.url"]) == ("redis://file", "config.yml:1:14")


@pytest.mark.parametrize(
    ("environ", "complaint"),
    [
        (
            {"GPULOCKD__GPU_LOCK__POLL_INTERVALL": "2"},
            (
                "environment GPULOCKD__GPU_LOCK__POLL_INTERVALL: sets nothing"
                " (did you mean GPULOCKD__GPU_LOCK__POLL_INTERVAL?)"
            ),
        ),
        (
            {"GPULOCKD_REDIS_URL": "x"},
            "environment GPULOCKD_REDIS_URL: sets nothing (did you mean GPULOCKD__REDIS__URL?)",
        ),
        (
            {"gpulockd__redis__url": "x"},
            "environment gpulockd__redis__url: sets nothing (did you mean GPULOCKD__REDIS__URL?)",
        ),
        (
            {"GPULOCKD__Q": "x"},
            "environment GPULOCKD__Q: sets nothing (the names are GPULOCKD__SECTION__KEY)",
        ),
        (
            {"GPULOCKD__HTTP__PORT": "many"},
            "environment GPULOCKD__HTTP__PORT: http.port: must be a whole number, not 'many'",
        ),
        (
            {"GPU_LOCK_POLL_INTERVAL": "[2"},
            (
                "environment GPU_LOCK_POLL_INTERVAL: gpu_lock.poll_interval: it ends before it closes what line 1 opens"
                " (a quote or a bracket is missing)"
            ),
        ),
        (
            {"REDIS_PORT": "tcp://10.0.0.1:6379"},
            (
                "environment REDIS_PORT: redis.url: must be a whole number, not 'tcp://10.0.0.1:6379'"
                " (Kubernetes sets it for a service named redis; GPULOCKD__REDIS__URL goes before it)"
            ),
        ),
        (
            {"GPULOCKD__GPU_LOCK_MONITOR__TIMEOUT_LEVELS__WARNING": "2h"},
            (
                "environment GPULOCKD__GPU_LOCK_MONITOR__TIMEOUT_LEVELS__WARNING:"
                " gpu_lock_monitor.timeout_levels.warning: is 7200, but must be at most"
                " gpu_lock_monitor.timeout_levels.soft_timeout, 3600 by default"
                " (a holder is warned before it is asked to finish)"
            ),
        ),
    ],
)
def test_a_mistake_names_its_variable(environ: dict[str, str], complaint: str, complaints: Complaints) -> None:
    assert complaints("{}", environ) == [complaint]


def test_mistakes_of_file_and_environment_are_told_together(complaints: Complaints) -> None:
    lines = complaints("redis: localhost\n", {"GPULOCKD__REDIS__TTL": "9", "GPULOCKD__HTTP__PROT": "1"})
    assert [line.partition(" (")[0] for line in lines] == [
        "config.yml:1:8: redis: must be a section, not 'localhost'",
        "environment GPULOCKD__HTTP__PROT: sets nothing",
    ]


def test_variables_of_others_are_none_of_our_business(loads: Loads) -> None:
    environ = {"GPULOCK_SOCKET": "/x", "GPULOCK_LOCK": "L1-1", "GPU_LOCK_FANCY": "1", "PATH": "/bin", "REDIS_URL": "x"}
    assert loads("{}", environ).config == Config()
