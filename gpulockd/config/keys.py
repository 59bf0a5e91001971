"""The settings by dotted name: `gpu_lock_monitor.timeout_levels.warning`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import reduce

from pydantic.fields import FieldInfo

from .model import Config, Section


def _walk(section: type[Section], prefix: str) -> Iterator[tuple[str, FieldInfo]]:
    for name, field in section.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield from _walk(field.annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field


SETTINGS: Mapping[str, FieldInfo] = dict(_walk(Config, ""))
"""Every setting, in the order of the model."""


def value_of(config: Config, key: str) -> object:
    """The value of one setting."""
    return reduce(getattr, key.split("."), config)


def members_of(section: str) -> list[str]:
    """The names that may stand in `section` (empty: at the top), those of its own sections among them."""
    prefix = f"{section}." if section else ""
    inside = (key.removeprefix(prefix) for key in SETTINGS if key.startswith(prefix))
    return list(dict.fromkeys(name.partition(".")[0] for name in inside))
