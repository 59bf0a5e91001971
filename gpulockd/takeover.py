"""Hands a configuration that was read again to the parts of the running daemon, each its own section."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import cast

from . import config as configuration, logs
from .config import Config
from .core.canary import Thresholds
from .core.events import SettingsChanged
from .core.forms import finite
from .core.settings import Trial
from .http import HttpServer, MonitorConfig
from .monitor import Sampler
from .ports import Post
from .processes import Administrators
from .server import Limits, Server

MIB = 2**20


@dataclass(frozen=True, slots=True)
class Takeover:
    """Whom a new configuration concerns. What none of them can take over is in `config.NEEDS_RESTART`."""

    post: Post
    server: Server
    administrators: Administrators
    sampler: Sampler
    http: HttpServer
    use_level: Callable[[str], None] = logs.use_level

    def __call__(self, config: Config, trial: Trial | None = None) -> None:
        """All of it in one turn of the loop: nobody sees the half of it. `trial` is what some have instead."""
        settings = replace(configuration.core_settings(config), trial=trial)
        self.post(SettingsChanged(settings))
        self.server.use(settings, limits(config.daemon))
        self.administrators.names = config.daemon.admins
        self.sampler.every(sampling_interval(config))
        self.http.use(monitor_settings(config.gpu_lock_monitor), config.gpu_lock.poll_interval)
        self.use_level(config.daemon.log_level)


def thresholds(canary: configuration.Canary) -> Thresholds:
    return Thresholds(canary.max_timeouts, canary.max_failures, canary.max_redis_cpu, canary.min_requests)


def limits(daemon: configuration.Daemon) -> Limits:
    return Limits(daemon.max_sessions, daemon.max_sessions_per_user, daemon.max_buffered_mib_per_user * MIB)


def sampling_interval(config: Config) -> float:
    """Seconds between two looks at every GPU. Strangers that are waited for are looked for as often as orphans."""
    interval, inventory = config.gpu_lock_monitor.monitor_interval, config.inventory
    return min(interval, inventory.quarantine_recheck) if inventory.foreign == "wait" else interval


def monitor_settings(section: configuration.GpuLockMonitor) -> MonitorConfig:
    """The settings of the monitor as HTTP shows them: null for `forever`."""
    levels = {level: finite(seconds) for level, seconds in section.timeout_levels}
    return cast(MonitorConfig, {**section.model_dump(), "timeout_levels": levels})
