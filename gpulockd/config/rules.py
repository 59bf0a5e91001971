"""What must hold between settings. Declared once: the daemon's start checks it, and so can any audit.

A violation is told where somebody set something: of a default and a file's value, the latter is to blame.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from ..core import lease
from .keys import FALLBACKS, of_profile, profile_and_key, source_of, value_of
from .model import Config

DEFAULT = "default"
"""The origin of a value that nobody set."""


@dataclass(frozen=True, slots=True)
class Violation:
    key: str
    message: str
    hint: str


class Rule(Protocol):
    @property
    def keys(self) -> tuple[str, ...]:
        """The settings that the rule is about."""
        ...

    def violation(self, config: Config, origins: Mapping[str, str]) -> Violation | None: ...


@dataclass(frozen=True, slots=True)
class InOrder:
    """`smaller` is at most `larger`; or less than it, where `strictly`."""

    smaller: str
    larger: str
    why: str
    strictly: bool = False

    @property
    def keys(self) -> tuple[str, ...]:
        return (self.smaller, self.larger)

    def violation(self, config: Config, origins: Mapping[str, str]) -> Violation | None:
        low, high = _number(config, self.smaller), _number(config, self.larger)
        if low < high or (low == high and not self.strictly):
            return None
        key = _set_by_somebody(self.keys, origins)
        bound, words = (
            (self.larger, "less than" if self.strictly else "at most")
            if key == self.smaller
            else (self.smaller, "more than" if self.strictly else "at least")
        )
        value, limit = _shown(_number(config, key)), _shown(_number(config, bound))
        origin = origins.get(bound, DEFAULT)
        source = "by default" if origin == DEFAULT else f"from {origin}"
        return Violation(key, f"is {value}, but must be {words} {bound}, {limit} {source}", self.why)


@dataclass(frozen=True, slots=True)
class RenewalMayFailOnce:
    """A renewal that times out is sent once more, and its answer comes before granting stops."""

    ttl: str = "redis.ttl"
    timeout: str = "redis.operation_timeout"

    @property
    def keys(self) -> tuple[str, ...]:
        return (self.ttl, self.timeout)

    def violation(self, config: Config, origins: Mapping[str, str]) -> Violation | None:
        ttl, timeout = _number(config, self.ttl), _number(config, self.timeout)
        sent, stop = ttl * lease.RENEW, ttl * lease.STOP
        two_attempts = max(timeout, lease.RETRY) + timeout
        if sent + two_attempts <= stop:
            return None
        enough = math.ceil(two_attempts / (lease.STOP - lease.RENEW))
        return Violation(
            _set_by_somebody(self.keys, origins),
            f"with a ttl of {_shown(ttl)} s a renewal is sent {_shown(sent)} s after the last good one, and granting"
            f" stops at {_shown(stop)} s: too soon for two attempts of {_shown(timeout)} s",
            f"with an operation_timeout of {_shown(timeout)} the ttl must be at least {enough}",
        )


_LEVELS = "gpu_lock_monitor.timeout_levels"

RULES: Sequence[Rule] = (
    InOrder(
        f"{_LEVELS}.warning",
        f"{_LEVELS}.soft_timeout",
        "a holder is warned before it is asked to finish",
    ),
    InOrder(
        f"{_LEVELS}.soft_timeout",
        f"{_LEVELS}.hard_timeout",
        "a holder is asked to finish before its lock is taken back",
    ),
    InOrder(
        "gpu_lock.lock_timeout",
        f"{_LEVELS}.hard_timeout",
        "no lock lasts longer than the hard timeout, so a default beyond it would not act",
    ),
    InOrder(
        "gpu_lock.poll_interval",
        "gpu_lock.max_poll_interval",
        "the pause between two polls only grows",
    ),
    InOrder(
        "gpu_lock_monitor.heartbeat.interval",
        "gpu_lock_monitor.heartbeat.timeout",
        "a task that beats in time must not count as silent",
        strictly=True,
    ),
    RenewalMayFailOnce(),
)


def violations(config: Config, origins: Mapping[str, str], is_doubtful: Callable[[str], bool]) -> list[Violation]:
    """What does not hold. Rules about a setting that is doubtful are left out: its value is not known."""
    applicable = [rule for rule in RULES if not any(map(is_doubtful, rule.keys))]
    applicable += _within_profiles(config, is_doubtful)
    return [broken for rule in applicable if (broken := rule.violation(config, origins))]


_IN_PROFILES: Mapping[str, str] = {general: own for own, general in FALLBACKS.items()}


def _within_profiles(config: Config, is_doubtful: Callable[[str], bool]) -> Iterator[Rule]:
    """What holds between general settings holds between those of a profile, and what it leaves to the general ones."""
    ordered = [rule for rule in RULES if isinstance(rule, InOrder) and _IN_PROFILES.keys() >= set(rule.keys)]
    for name in config.profiles:
        for rule in ordered:
            asked = [of_profile(name, _IN_PROFILES[key]) for key in rule.keys]
            smaller, larger = given = tuple(source_of(config, key) for key in asked)
            if given != rule.keys and not any(map(is_doubtful, (*asked, *given))):
                yield replace(rule, smaller=smaller, larger=larger)


def _set_by_somebody(keys: tuple[str, ...], origins: Mapping[str, str]) -> str:
    """That of a profile before a general one, which is right for others."""
    profiles_first = sorted(keys, key=lambda key: profile_and_key(key) is None)
    return next((key for key in profiles_first if origins.get(key, DEFAULT) != DEFAULT), keys[0])


def _number(config: Config, key: str) -> float:
    value = value_of(config, key)
    assert isinstance(value, int | float)
    return value


def _shown(number: float) -> str:
    if math.isinf(number):
        return "forever"
    return str(int(number)) if number == int(number) else f"{number:.4g}"
