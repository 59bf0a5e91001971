"""The settings by dotted name: `gpu_lock_monitor.timeout_levels.warning`.

Those of profiles are no fixed set: `profiles.NAME.max_hold`, for each profile that there is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import reduce
from typing import Any

from pydantic.fields import FieldInfo

from .model import Config, Profile, Section

PROFILES = "profiles"


def _walk(section: type[Section], prefix: str) -> Iterator[tuple[str, FieldInfo]]:
    for name, field in section.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield from _walk(field.annotation, f"{prefix}{name}.")
        elif f"{prefix}{name}" != PROFILES:
            yield f"{prefix}{name}", field


SETTINGS: Mapping[str, FieldInfo] = dict(_walk(Config, ""))
"""Every setting but those of profiles, in the order of the model."""

_OF_PROFILES: Mapping[str, FieldInfo] = dict(_walk(Profile, ""))

FALLBACKS: Mapping[str, str] = {
    "max_wait_time": "gpu_lock.max_wait_time",
    "max_hold": "gpu_lock.lock_timeout",
    "timeout_levels.warning": "gpu_lock_monitor.timeout_levels.warning",
    "timeout_levels.soft_timeout": "gpu_lock_monitor.timeout_levels.soft_timeout",
    "timeout_levels.hard_timeout": "gpu_lock_monitor.timeout_levels.hard_timeout",
}
"""Every key of a profile, and the setting that holds where a profile does not give it."""


def settings_of(config: Config) -> Iterator[str]:
    """Every setting, those of its profiles among them."""
    yield from SETTINGS
    yield from (of_profile(name, own) for name in config.profiles for own in FALLBACKS)


def of_profile(name: str, own: str) -> str:
    return f"{PROFILES}.{name}.{own}"


def profile_and_key(key: str) -> tuple[str, str] | None:
    """The two of which `of_profile` made `key`, whether there are such or not; None for any other setting."""
    section, _, rest = key.partition(".")
    name, _, own = rest.partition(".")
    return (name, own) if section == PROFILES and name else None


def source_of(config: Config, key: str) -> str:
    """The setting that gives `key` its value: its fallback, where a profile does not have it."""
    profile = profile_and_key(key)
    return FALLBACKS[profile[1]] if profile and value_of(config, key) is None else key


def value_of(config: Config, key: str) -> object:
    """The value of one setting; None where a profile leaves it to its fallback."""
    return reduce(_member, key.split("."), config)


def _member(section: Any, name: str) -> Any:
    return section[name] if isinstance(section, Mapping) else getattr(section, name)


def field_of(key: str) -> FieldInfo | None:
    """What the model says of a setting; None for a section, and for what there is not."""
    profile = profile_and_key(key)
    return _OF_PROFILES.get(profile[1]) if profile else SETTINGS.get(key)


def members_of(section: str) -> list[str]:
    """The names that may stand in `section` (empty: at the top), those of its own sections among them."""
    known: list[str] = [*SETTINGS, PROFILES]
    if profile := profile_and_key(section):
        known, section = list(_OF_PROFILES), profile[1]
    prefix = f"{section}." if section else ""
    inside = (key.removeprefix(prefix) for key in known if key.startswith(prefix))
    return list(dict.fromkeys(name.partition(".")[0] for name in inside))
