"""A reload really acts: every setting is taken over by some part of the daemon, or says that it needs a restart."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gpulockd.config import NEEDS_RESTART, Config, Source, core_settings
from gpulockd.config.keys import SETTINGS
from gpulockd.core.canary import Thresholds
from gpulockd.core.events import Event, SettingsChanged
from gpulockd.core.model import State
from gpulockd.core.settings import Settings
from gpulockd.http import HttpServer, Metrics
from gpulockd.monitor import Sampler
from gpulockd.processes import Administrators
from gpulockd.server import Limits, Server, Sessions, Sources, Watchers
from gpulockd.takeover import Takeover, thresholds
from tests.config.core_fields import OTHERS, config_with, fields_of

OTHER_VALUES: dict[str, object] = {
    **OTHERS,
    "gpu_lock_monitor.monitor_interval": 7.0,
    "gpu_lock_monitor.heartbeat.interval": 8.0,
    "daemon.admins": ("alice",),
    "daemon.max_sessions": 9,
    "daemon.max_sessions_per_user": 10,
    "daemon.max_buffered_mib_per_user": 11,
    "daemon.log_level": "error",
    "canary.max_timeouts": 0.5,
    "canary.max_failures": 0.6,
    "canary.max_redis_cpu": 0.7,
    "canary.min_requests": 7,
}
"""For each setting that a running daemon takes over, another value than its default."""


class House:
    """The parts of a daemon that a configuration concerns, none of which runs."""

    def __init__(self) -> None:
        nobody: Any = None
        self.posted: list[Event] = []
        self.levels: list[str] = []
        sources = Sources(**{field.name: nobody for field in dataclasses.fields(Sources)})
        self.server = Server(
            "", mailbox=nobody, sessions=Sessions(), watchers=Watchers(lambda: 0.0), processes=nobody,
            settings=Settings(), sources=sources, limits=Limits(), version="", announce=nobody,
        )  # fmt: skip
        self.sampler = Sampler(nobody, nobody, nobody, self.posted.append, lambda: State(Settings()))
        self.metrics = Metrics()
        self.http = HttpServer("127.0.0.1", 0, status=nobody, metrics=self.metrics)
        self.administrators = Administrators()
        self.take_over = Takeover(
            self.posted.append, self.server, self.administrators, self.sampler, self.http, self.levels.append
        )

    def facts(self, config: Config) -> dict[str, object]:
        """What the parts go by once they have `config`."""
        self.take_over(config)
        changed = self.posted[-1]
        assert isinstance(changed, SettingsChanged)
        context = self.server._context
        assert context.settings is changed.settings
        return {
            "core": changed.settings,
            "hello": context.limits,
            "limits": self.server._admission.limits,
            "admins": (self.administrators(1001, "alice"), self.administrators(1002, "bert")),
            "interval": self.sampler._interval,
            "monitor": self.http._sources.monitor,
            "poll": self.metrics.poll_interval,
            "level": self.levels[-1],
            "canary": thresholds(config.canary),  # looked up whenever a canary is judged
        }


RELOADABLE = sorted(SETTINGS.keys() - NEEDS_RESTART.keys())


def test_every_setting_is_taken_over_or_needs_a_restart() -> None:
    assert set(RELOADABLE) <= OTHER_VALUES.keys(), "say here what another value of these is"


@pytest.mark.parametrize("key", RELOADABLE)
def test_another_value_acts_on_the_running_daemon(key: str) -> None:
    before, after = House().facts(Config()), House().facts(config_with({key: OTHER_VALUES[key]}))
    moved = {name for name in before if before[name] != after[name]}
    assert moved, f"a reload of {key} changes nothing"
    if key in OTHERS:
        settings = after["core"]
        assert {name: getattr(settings, name) for name in fields_of(key)} == fields_of(key)


@pytest.mark.parametrize(
    ("key", "value", "part", "seen"),
    [
        ("daemon.admins", ("alice",), "admins", (True, False)),
        ("daemon.max_sessions", 9, "limits", Limits(9, 2048)),
        ("daemon.max_sessions_per_user", 10, "limits", Limits(4096, 10)),
        ("gpu_lock_monitor.monitor_interval", 7.0, "interval", 7.0),
        ("daemon.log_level", "error", "level", "error"),
        ("gpu_lock.poll_interval", 5.0, "poll", 5.0),
    ],
)
def test_those_of_the_other_parts(key: str, value: object, part: str, seen: object) -> None:
    assert House().facts(config_with({key: value}))[part] == seen


def test_the_bars_of_a_canary_are_looked_up_when_it_is_judged() -> None:
    config = config_with({key: OTHER_VALUES[key] for key in RELOADABLE if key.startswith("canary.")})
    assert thresholds(config.canary) == Thresholds(0.5, 0.6, 0.7, 7)


def test_profiles_are_taken_over() -> None:
    config = Source(Path("c.yml"), must_exist=True, environ={}).parsed(b"profiles: {film: {max_hold: 50m}}").config
    house = House()
    house.take_over(config)
    assert house.posted == [SettingsChanged(core_settings(config))]
    assert core_settings(config).under("film").lock_timeout == 3000


@pytest.fixture
def root_logger() -> Iterator[logging.Logger]:
    logger = logging.getLogger()
    before = logger.level
    yield logger
    logger.setLevel(before)


def test_the_log_level_is_the_loggers(root_logger: logging.Logger) -> None:
    from gpulockd import logs

    logs.use_level("error")
    assert root_logger.level == logging.ERROR
