"""What follows from a configuration: the core's settings, and what people are shown."""

from __future__ import annotations

import dataclasses
import json
import math
import socket

import pytest

from gpulock.configuration import SettingView
from gpulockd.config import Config, core_settings, masked_url, monitor_state, settings
from gpulockd.config.keys import SETTINGS
from gpulockd.core.settings import Settings

from .conftest import Loads
from .core_fields import OTHERS, config_with, fields_of


def test_the_core_begins_with_its_own_defaults_and_the_name_of_the_host() -> None:
    assert core_settings(Config()) == dataclasses.replace(Settings(), host=socket.gethostname())


@pytest.mark.parametrize("key", OTHERS)
def test_each_setting_changes_its_field_of_the_core_and_no_other(key: str) -> None:
    before, after = core_settings(Config()), core_settings(config_with({key: OTHERS[key]}))
    changed = {
        field.name: getattr(after, field.name)
        for field in dataclasses.fields(Settings)
        if getattr(before, field.name) != getattr(after, field.name)
    }
    assert changed == fields_of(key)


def test_no_field_of_the_core_is_out_of_reach() -> None:
    reached = {field for key in OTHERS for field in fields_of(key)}
    assert reached | {"profiles", "trial"} == {field.name for field in dataclasses.fields(Settings)}


def test_a_lease_expires_only_in_redis() -> None:
    assert core_settings(config_with({"redis.ttl": 60})).lease_ttl == math.inf
    assert core_settings(config_with({"redis.ttl": 60, "redis.url": "unix:///r"})).lease_ttl == 60


@pytest.mark.parametrize(
    ("changed", "state"),
    [
        ({}, "active"),
        ({"gpu_lock_monitor.auto_recovery": False}, "reports"),
        ({"gpu_lock_monitor.enabled": False}, "off"),
    ],
)
def test_status_says_what_the_monitor_does(changed: dict[str, object], state: str) -> None:
    assert monitor_state(config_with(changed).gpu_lock_monitor) == state


def test_people_see_every_value_and_its_origin(loads: Loads) -> None:
    content = "daemon:\n  admins: [alice, 7]\ngpu_lock_monitor:\n  timeout_levels:\n    hard_timeout: forever\n"
    shown = settings(loads(content, {"GPULOCKD__GPU_LOCK__POLL_INTERVAL": "0.5"}))
    assert [view["key"] for view in shown] == list(SETTINGS)
    views = {view["key"]: view for view in shown}
    assert views["daemon.admins"] == SettingView(key="daemon.admins", value=["alice", 7], source="config.yml:2:11")
    assert views["gpu_lock.poll_interval"] == SettingView(
        key="gpu_lock.poll_interval", value=0.5, source="environment GPULOCKD__GPU_LOCK__POLL_INTERVAL"
    )
    assert views["gpu_lock_monitor.timeout_levels.hard_timeout"]["value"] == "forever"
    assert views["gpu_lock.max_wait_time"] == SettingView(key="gpu_lock.max_wait_time", value=1800, source="default")
    assert views["daemon.socket"]["value"] == "/run/gpulockd/gpulockd.sock"
    assert json.loads(json.dumps(shown, allow_nan=False)) == shown


def test_what_people_see_could_be_written_into_a_file(loads: Loads) -> None:
    config = config_with(OTHERS | {"redis.password_file": "/secret", "daemon.admins": ["root"]})
    loaded = dataclasses.replace(loads("{}"), config=config)
    again = config_with({view["key"]: view["value"] for view in settings(loaded)})
    assert again == config


def test_people_do_not_see_passwords(loads: Loads) -> None:
    url = "redis://user:geheim@host:6379/0"
    for loaded in (loads(f"redis: {{url: '{url}'}}"), loads("{}", {"GPULOCKD__REDIS__URL": url})):
        [view] = [view for view in settings(loaded) if view["key"] == "redis.url"]
        assert view["value"] == "redis://user:***@host:6379/0"
        assert loaded.config.redis.url == url


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("", ""),
        ("redis://host:6379/0", "redis://host:6379/0"),
        ("redis://user@host", "redis://user@host"),
        ("redis://:p@host", "redis://:***@host"),
        ("redis://u:p@w/x@host:1/2", "redis://u:***@host:1/2"),
        ("unix://u:p@/run/r.sock?db=1", "unix://u:***@/run/r.sock?db=1"),
        ("unix:///run/r.sock?db=1&password=p", "unix:///run/r.sock?db=1&password=***"),
        (
            "redis+sentinel://u:p@a:1,b:2/m?sentinel_password=q&sentinel_username=s",
            "redis+sentinel://u:***@a:1,b:2/m?sentinel_password=***&sentinel_username=s",
        ),
        ("geheim@host", "***@host"),
    ],
)
def test_masked_url(url: str, masked: str) -> None:
    assert masked_url(url) == masked
