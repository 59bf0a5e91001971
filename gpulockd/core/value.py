"""Values: data that nobody changes once it is made, and that is made for every request.

A frozen dataclass stores each field through `object.__setattr__`, which makes it three times as dear to make as one
that can be changed. Here the type checker alone forbids the change.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value(cls: type[T]) -> type[T]:
    """A dataclass with slots, compared by its fields; frozen for the type checker, without a hash."""
    return dataclass(slots=True)(cls)
