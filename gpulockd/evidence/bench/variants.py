"""What is compared: the way to the lock, and its settings. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from gpulock.durations import parse_duration
from gpulock.errors import InvalidRequest

from ..statement import Value

Way: TypeAlias = Literal["daemon", "polling"]

POLLING: Mapping[str, Value] = {
    "gpu_lock.poll_interval": 2.0,
    "gpu_lock.exponential_backoff": True,
    "gpu_lock.max_poll_interval": 10.0,
    "gpu_lock.max_wait_time": 1800.0,
    "gpu_lock.lock_timeout": 3600.0,
}
"""The settings of the older way, at the values that it ran with."""
DAEMON: Mapping[str, Value] = {"gpu_lock.max_wait_time": 1800.0, "gpu_lock.lock_timeout": 3600.0}
"""What is always said to the daemon, since it shrinks with the scale of the time."""
DURATIONS = frozenset(
    (
        "gpu_lock.max_wait_time",
        "gpu_lock.lock_timeout",
        "gpu_lock.poll_interval",
        "gpu_lock.max_poll_interval",
        "gpu_lock.priority_head_start",
        "gpu_lock.fallback_timeout",
        "gpu_lock_monitor.timeout_levels.warning",
        "gpu_lock_monitor.timeout_levels.soft_timeout",
        "gpu_lock_monitor.timeout_levels.hard_timeout",
    )
)
"""The settings that shrink with the scale of the time. All others are taken as they are."""
OURS = ("daemon.", "http.", "inventory.simulate", "redis.url", "redis.namespace", "redis.password_file")
"""What the benchmark sets itself, for a daemon that must not get in anybody's way."""
DEFAULTS = ("poll-2", "poll-1", "poll-0.5", "push")

_NO_REDIS = "it polls a Redis, and there is none: give --redis URL, or install redis-server or valkey-server"
_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,23}")
_KEY = re.compile(r"[a-z_]+(?:\.[a-z_]+)+")


class BadVariant(ValueError):
    """What is wrong with a variant, in words."""


@dataclass(frozen=True, slots=True)
class Variant:
    name: str
    way: Way
    settings: Mapping[str, Value]
    """By whole keys: those that make it what it is. Durations in seconds, not scaled."""

    def effective(self, scale: float) -> dict[str, Value]:
        """Every setting that is said to the way, durations multiplied by `scale`."""
        whole = {**(POLLING if self.way == "polling" else DAEMON), **self.settings}
        return {key: float(value) * scale if key in DURATIONS else value for key, value in whole.items()}

    @property
    def described(self) -> str:
        said = ", ".join(f"{key} {_shown(value)}" for key, value in self.settings.items())
        return f"{'polling' if self.way == 'polling' else 'gpulockd'}{': ' if said else ''}{said}"


def parse_variant(text: str) -> Variant:
    """`push`, `poll-0.5`, or `NAME=key=value,key=value`, with `way=polling` or `way=daemon` (the default) among them.

    A key of the section `gpu_lock` may be named without it. Raises `BadVariant`.
    """
    name, separator, rest = text.partition("=")
    if not _NAME.fullmatch(name):
        raise BadVariant(f"{name!r} cannot name a variant: letters, digits, dots and dashes, at most 24")
    if not separator:
        return _preset(name)
    way: Way = "daemon"
    settings: dict[str, Value] = {}
    for part in rest.split(",") if rest else []:
        key, equals, value = part.strip().partition("=")
        if not equals or not value:
            raise BadVariant(f"{part.strip()!r} in {name!r}: write KEY=VALUE")
        if key == "way":
            way = _way(value)
            continue
        whole = key if "." in key else f"gpu_lock.{key}"
        if not _KEY.fullmatch(whole) or whole.startswith(OURS):
            raise BadVariant(f"{key!r} in {name!r} cannot be varied here")
        settings[whole] = _value(whole, value)
    if way == "polling" and (unknown := set(settings) - set(POLLING)):
        known = ", ".join(key.removeprefix("gpu_lock.") for key in POLLING)
        raise BadVariant(f"{min(unknown)} means nothing to polling, which knows {known}")
    return Variant(name, way, settings)


class Chosen(NamedTuple):
    """What of the variants that were asked for can be measured."""

    variants: Sequence[Variant]
    baseline: str
    left_out: Sequence[str]
    """What cannot, and why, a sentence each."""


def choose(wanted: Sequence[Variant], baseline: str | None, *, has_redis: bool) -> Chosen:
    """Without Redis nobody can poll. The first variant is the baseline, or the named one. Raises `BadVariant`."""
    names = [variant.name for variant in wanted]
    if twice := {name for name in names if names.count(name) > 1}:
        raise BadVariant(f"two variants are called {min(twice)}")
    if baseline is not None and baseline not in names:
        raise BadVariant(f"there is no variant {baseline!r} to compare with")
    possible = [variant for variant in wanted if has_redis or variant.way == "daemon"]
    if not possible:
        raise BadVariant(f"nothing can be measured: {_NO_REDIS}")
    left_out = [f"{variant.name} is left out: {_NO_REDIS}" for variant in wanted if variant not in possible]
    left_out += [] if has_redis else ["Redis is not measured: there is none"]
    able = [variant.name for variant in possible]
    return Chosen(possible, baseline if baseline in able else able[0], left_out)


def _preset(name: str) -> Variant:
    if name == "push":
        return Variant(name, "daemon", {})
    if name.startswith("poll-"):
        interval = _value("gpu_lock.poll_interval", name.removeprefix("poll-"))
        return Variant(name, "polling", {"gpu_lock.poll_interval": interval})
    raise BadVariant(f"{name!r} is no variant that is known: push, poll-SECONDS, or NAME=key=value,...")


def _way(text: str) -> Way:
    ways: Mapping[str, Way] = {"daemon": "daemon", "polling": "polling"}
    if text not in ways:
        raise BadVariant(f"there is no way {text!r}: {', '.join(ways)}")
    return ways[text]


def _value(key: str, text: str) -> Value:
    if key in DURATIONS:
        try:
            seconds = parse_duration(text)
        except InvalidRequest as error:
            raise BadVariant(f"{key}: {error.message}") from None
        if not 0 < seconds < float("inf"):
            raise BadVariant(f"{key}: {text!r} has to be longer than 0, and to end")
        return seconds
    if text in ("true", "false"):
        return text == "true"
    try:
        return int(text)
    except ValueError:
        return text


def _shown(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)
