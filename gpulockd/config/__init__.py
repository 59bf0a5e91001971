"""The daemon's configuration: parsed once, strictly, from a file and the environment.

`load` is the way in. There is one frozen section per consumer; nobody is given the whole.
"""

from __future__ import annotations

from .derived import core_settings, host_name, settings
from .loading import DEFAULT_FILE, Loaded, Source, load
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
from .reloading import NEEDS_RESTART, Change, changes, taken_over, told, with_values_of

__all__ = [
    "DEFAULT_FILE",
    "NEEDS_RESTART",
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
    "changes",
    "core_settings",
    "host_name",
    "load",
    "masked_url",
    "settings",
    "taken_over",
    "told",
    "with_values_of",
]
