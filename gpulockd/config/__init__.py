"""The daemon's configuration: parsed once, strictly, from a file and the environment.

`load` is the way in. There is one frozen section per consumer; nobody is given the whole.
"""

from __future__ import annotations

from .derived import core_settings, host_name, monitor_state, settings
from .loading import DEFAULT_FILE, Loaded, Source, load
from .masking import masked_url
from .model import (
    Canary,
    Config,
    Daemon,
    GpuLock,
    GpuLockMonitor,
    Heartbeat,
    Http,
    Inventory,
    Redis,
    TimeoutLevels,
)
from .problems import ConfigError, Place, Problem
from .reloading import (
    CANARY_SETTINGS,
    NEEDS_RESTART,
    Change,
    cannot_be_tried,
    change_views,
    changes,
    needing_restart,
    tried,
)

__all__ = [
    "CANARY_SETTINGS",
    "DEFAULT_FILE",
    "NEEDS_RESTART",
    "Canary",
    "Change",
    "Config",
    "ConfigError",
    "Daemon",
    "GpuLock",
    "GpuLockMonitor",
    "Heartbeat",
    "Http",
    "Inventory",
    "Loaded",
    "Place",
    "Problem",
    "Redis",
    "Source",
    "TimeoutLevels",
    "cannot_be_tried",
    "change_views",
    "changes",
    "core_settings",
    "host_name",
    "load",
    "masked_url",
    "monitor_state",
    "needing_restart",
    "settings",
    "tried",
]
