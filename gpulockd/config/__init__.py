"""The daemon's configuration: parsed once, strictly, from a file and the environment.

`load` is the way in. There is one frozen section per consumer; nobody is given the whole.
"""

from __future__ import annotations

from .derived import core_settings, host_name, monitor_state, settings
from .loading import DEFAULT_FILE, Loaded, load
from .masking import masked_url
from .model import (
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

__all__ = [
    "DEFAULT_FILE",
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
    "TimeoutLevels",
    "core_settings",
    "host_name",
    "load",
    "masked_url",
    "monitor_state",
    "settings",
]
