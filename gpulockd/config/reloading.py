"""What of a configuration a running daemon can take over, and how two configurations differ."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .derived import effective, shown
from .keys import PROFILES, settings_of, value_of
from .loading import Loaded
from .model import Config
from .problems import Place, Problem, reading_order

NEEDS_RESTART: Mapping[str, str] = {
    "redis.url": "the leases are held there",
    "redis.password_file": "it is read when Redis is connected to first",
    "redis.namespace": "the leases are held under it",
    "redis.ttl": "the leases are held for it",
    "redis.operation_timeout": "every connection to Redis has it",
    "redis.on_loss": "holders were granted their locks under it",
    "daemon.socket": "clients are connected to it",
    "daemon.state_dir": "the journal is open in it",
    "daemon.host": "the leases are held under this name",
    "inventory.simulate": "GPUs are discovered at the start",
    "inventory.nvml_timeout": "the process that asks the driver has it",
    "http.host": "the port is open on it",
    "http.port": "it is open",
    "history.max_age": "the journal keeps its history by it",
    "history.max_rows": "the journal keeps its history by it",
}
"""The settings that a running daemon cannot take over, and why. It takes over every other one."""


CANARY_SETTINGS = (
    "gpu_lock.max_wait_time",
    "gpu_lock.lock_timeout",
    "gpu_lock_monitor.timeout_levels.warning",
    "gpu_lock_monitor.timeout_levels.soft_timeout",
    "gpu_lock_monitor.timeout_levels.hard_timeout",
)
"""With the profiles, the settings that act on one request and no other: these alone can be tried on a share of them."""


@dataclass(frozen=True, slots=True)
class Change:
    """A setting whose value is another; None on the side where there is no such profile."""

    key: str
    before: object
    after: object
    needs_restart: bool


def changes(before: Loaded, after: Loaded) -> list[Change]:
    """What holds in `after` and does not in `before`, in the order of the model. Passwords are left out of the values,
    and are told apart all the same."""
    keys = dict.fromkeys([*settings_of(before.config), *settings_of(after.config)])
    return [
        Change(key, _shown(key, old), _shown(key, new), key in NEEDS_RESTART)
        for key in keys
        if (old := _value(before.config, key)) != (new := _value(after.config, key))
    ]


def needing_restart(running: Loaded, wanted: Loaded) -> list[Problem]:
    """What keeps a running daemon from taking over `wanted`, in the order of its file."""
    problems = []
    for each in changes(running, wanted):
        if each.needs_restart:
            place = wanted.places.get(each.key, Place(str(wanted.source.path)))
            after = f"{_written(each.after)}" if each.key in wanted.places else f"{_written(each.after)}, the default,"
            said = f"{_written(each.before)} is in force, and {after} needs a restart: {NEEDS_RESTART[each.key]}"
            problems.append(Problem.at(place, each.key, said))
    return sorted(problems, key=reading_order)


def _written(value: object) -> object:
    return '""' if value == "" else value


def with_values_of(config: Config, other: Config, keys: Iterable[str]) -> Config:
    """`config` with the values that `keys` have in `other`."""
    for key in keys:
        config = _with(config, key.split("."), value_of(other, key))
    return config


def _with(section: Any, path: list[str], value: object) -> Any:
    name, *rest = path
    inner = _with(getattr(section, name), rest, value) if rest else value
    return section.model_copy(update={name: inner})


def _value(config: Config, key: str) -> object:
    try:
        return effective(config, key)
    except KeyError:
        return None


def _shown(key: str, value: object) -> object:
    return None if value is None else shown(key, value)


def tried(running: Config, candidate: Config) -> Config:
    """`running` with what a canary of `candidate` is about."""
    config = with_values_of(running, candidate, CANARY_SETTINGS)
    return config.model_copy(update={PROFILES: candidate.profiles})


def cannot_be_tried(changed: Iterable[Change]) -> list[str]:
    """The settings among these that act on more than one request."""
    return [each.key for each in changed if each.key not in CANARY_SETTINGS and not each.key.startswith(f"{PROFILES}.")]


def change_views(changed: Iterable[Change]) -> Iterator[Mapping[str, object]]:
    """Each as a `gpulock.configuration.ChangeView`."""
    for each in changed:
        yield {"key": each.key, "before": each.before, "after": each.after, "restart": each.needs_restart}
