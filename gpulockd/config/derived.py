"""What follows from a configuration: the core's settings, and the view that people get."""

from __future__ import annotations

import dataclasses
import math
import socket
from typing import Literal

from gpulock.configuration import SettingView

from ..core.settings import Levels, Settings
from .keys import of_profile, source_of, value_of
from .loading import Loaded
from .masking import masked_url
from .model import Config, Daemon, GpuLockMonitor, TimeoutLevels


def host_name(daemon: Daemon) -> str:
    """The name of this host in the fleet."""
    return daemon.host or socket.gethostname()


def core_settings(config: Config) -> Settings:
    """The part of `config` that the core decides by."""
    lock, monitor, redis, daemon = config.gpu_lock, config.gpu_lock_monitor, config.redis, config.daemon
    general = Settings(
        host=host_name(daemon),
        max_wait_time=lock.max_wait_time,
        lock_timeout=lock.lock_timeout,
        levels=_levels(monitor, monitor.timeout_levels),
        beat_timeout=monitor.heartbeat.timeout if monitor.enabled else math.inf,
        take_back=monitor.enabled and monitor.auto_recovery,
        priority_head_start=lock.priority_head_start,
        max_overtakes=lock.max_overtakes,
        revoke_grace=daemon.revoke_grace,
        kill_grace=daemon.kill_grace,
        reattach_grace=daemon.reattach_grace,
        quarantine_recheck=config.inventory.quarantine_recheck,
        kill_orphans=config.inventory.orphans == "kill",
        foreign_waits=config.inventory.foreign == "wait",
        max_requests_per_session=daemon.max_requests_per_session,
        max_requests_per_user=daemon.max_requests_per_user,
        max_locks_per_user=daemon.max_locks_per_user,
        lease_ttl=redis.ttl if redis.url else math.inf,
        on_loss_revoke=redis.on_loss == "revoke",
        poll_interval=lock.poll_interval,
        max_poll_interval=lock.max_poll_interval,
        exponential_backoff=lock.exponential_backoff,
        use_event_driven=lock.use_event_driven,
        fallback_timeout=lock.fallback_timeout,
    )
    profiles = {name: _under_profile(config, name, general) for name in config.profiles}
    return dataclasses.replace(general, profiles=profiles)


def _under_profile(config: Config, name: str, general: Settings) -> Settings:
    def seconds(own: str) -> float:
        value = effective(config, of_profile(name, own))
        assert isinstance(value, float)
        return value

    levels = TimeoutLevels(**{each: seconds(f"timeout_levels.{each}") for each in TimeoutLevels.model_fields})
    return dataclasses.replace(
        general,
        max_wait_time=seconds("max_wait_time"),
        lock_timeout=seconds("max_hold"),
        levels=_levels(config.gpu_lock_monitor, levels),
    )


def effective(config: Config, key: str) -> object:
    """The value that holds: where a profile does not have one, that of its fallback."""
    return value_of(config, source_of(config, key))


def monitor_state(monitor: GpuLockMonitor) -> Literal["active", "reports", "off"]:
    """What is done about locks that last too long: they are taken back, only reported, or not watched."""
    if not monitor.enabled:
        return "off"
    return "active" if monitor.auto_recovery else "reports"


def _levels(monitor: GpuLockMonitor, levels: TimeoutLevels) -> Levels:
    """Without the monitor nobody is warned, and what may be asked for is bounded all the same."""
    if not monitor.enabled:
        return Levels(math.inf, math.inf, levels.hard_timeout)
    return Levels(levels.warning, levels.soft_timeout, levels.hard_timeout)


def settings(loaded: Loaded) -> list[SettingView]:
    """Every effective value and where it came from, in the order of the model, without passwords."""
    return [
        SettingView(key=key, value=shown(key, effective(loaded.config, key)), source=origin)
        for key, origin in loaded.origins.items()
    ]


def shown(key: str, value: object) -> object:
    """`value` as it could be written into the file."""
    match value:
        case str():
            return masked_url(value) if key == "redis.url" else value
        case bool() | int():
            return value
        case float():
            return "forever" if math.isinf(value) else int(value) if value == int(value) else value
        case tuple():
            return list(value)
        case _:
            return str(value)
