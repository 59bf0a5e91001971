"""`NamedTuple` without `typing`, which would take a third of the time in which `gpulock -- CMD` starts.

Type checkers see the real one; at run time the same is made by `collections.namedtuple`.
"""

from __future__ import annotations

from collections import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple as NamedTuple  # noqa: PLC0414  # exported
else:

    class _Record(type):
        """Turns a class of annotated fields into a subclass of a named tuple with these fields."""

        def __new__(cls, name, bases, members):
            if not bases:
                return super().__new__(cls, name, bases, members)
            fields = members.pop("__annotations__", {})
            defaults = [members.pop(field) for field in fields if field in members]
            base = namedtuple(name, fields, defaults=defaults)  # noqa: PYI024
            return type(name, (base,), {"__slots__": (), **members})

    class NamedTuple(metaclass=_Record):
        """Base of an immutable record; its annotated names are the fields, in order."""
