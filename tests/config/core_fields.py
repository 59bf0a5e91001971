"""For each setting that the core decides by: another value than its default, and what that changes in the core."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from gpulockd.config import Config
from gpulockd.core.settings import Levels

OTHERS: dict[str, object] = {
    "gpu_lock.max_wait_time": 1.0,
    "gpu_lock.lock_timeout": 2.0,
    "gpu_lock.priority_head_start": 3.0,
    "gpu_lock.max_overtakes": 4,
    "gpu_lock.poll_interval": 5.0,
    "gpu_lock.exponential_backoff": False,
    "gpu_lock.max_poll_interval": 6.0,
    "gpu_lock.use_event_driven": False,
    "gpu_lock.fallback_timeout": 7.0,
    "gpu_lock_monitor.timeout_levels.warning": 1.5,
    "gpu_lock_monitor.timeout_levels.soft_timeout": 2.5,
    "gpu_lock_monitor.timeout_levels.hard_timeout": 8000.0,
    "gpu_lock_monitor.heartbeat.timeout": 100.0,
    "gpu_lock_monitor.enabled": False,
    "gpu_lock_monitor.auto_recovery": False,
    "daemon.host": "elsewhere",
    "daemon.revoke_grace": 9.0,
    "daemon.kill_grace": 10.0,
    "daemon.reattach_grace": 11.0,
    "daemon.max_requests_per_session": 12,
    "daemon.max_requests_per_user": 14,
    "daemon.max_locks_per_user": 15,
    "inventory.quarantine_recheck": 13.0,
    "inventory.orphans": "kill",
    "inventory.foreign": "wait",
    "redis.url": "redis://h",
    "redis.on_loss": "revoke",
}
"""For each setting that the core decides by another value than its default."""

FIELDS: dict[str, dict[str, object]] = {
    "gpu_lock_monitor.timeout_levels.warning": {"levels": Levels(warning=1.5)},
    "gpu_lock_monitor.timeout_levels.soft_timeout": {"levels": Levels(soft=2.5)},
    "gpu_lock_monitor.timeout_levels.hard_timeout": {"levels": Levels(hard=8000.0)},
    "gpu_lock_monitor.heartbeat.timeout": {"beat_timeout": 100.0},
    "gpu_lock_monitor.enabled": {
        "take_back": False,
        "levels": Levels(math.inf, math.inf),
        "beat_timeout": math.inf,
    },
    "gpu_lock_monitor.auto_recovery": {"take_back": False},
    "inventory.orphans": {"kill_orphans": True},
    "inventory.foreign": {"foreign_waits": True},
    "redis.url": {"lease_ttl": 15.0},
    "redis.on_loss": {"on_loss_revoke": True},
}
"""The others set the field of their own name."""


def fields_of(key: str) -> dict[str, object]:
    """The fields of the core's settings that another value of `key` changes, and what it makes of them."""
    return FIELDS.get(key, {key.rpartition(".")[2]: OTHERS[key]})


def nested(values: Mapping[str, object]) -> dict[str, Any]:
    """What a file that gives these would hold."""
    content: dict[str, Any] = {}
    for key, value in values.items():
        *sections, name = key.split(".")
        inner = content
        for section in sections:
            inner = inner.setdefault(section, {})
        inner[name] = value
    return content


def config_with(values: Mapping[str, object]) -> Config:
    return Config.model_validate(nested(values))
