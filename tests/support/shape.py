"""Whether a value has the form that a type describes: `TypedDict`s all the way down, without coercion."""

from __future__ import annotations

import types
import typing
from typing import Any


def misfits(value: object, form: Any, where: str = "$") -> list[str]:
    """What does not fit, each with its place; an empty list where all does."""
    if typing.is_typeddict(form):
        return _of_document(value, form, where)
    origin, arguments = typing.get_origin(form), typing.get_args(form)
    if origin in (typing.Union, types.UnionType):
        found = [misfits(value, each, where) for each in arguments]
        return [] if [] in found else min(found, key=len)
    if origin is typing.Literal:
        return [] if value in arguments else [f"{where}: {value!r} is none of {arguments}"]
    if origin is list:
        if not isinstance(value, list):
            return [f"{where}: {value!r} is no list"]
        return [each for place, item in enumerate(value) for each in misfits(item, arguments[0], f"{where}[{place}]")]
    if origin is dict:
        if not isinstance(value, dict):
            return [f"{where}: {value!r} is no map"]
        return [each for key, item in value.items() for each in misfits(item, arguments[1], f"{where}.{key}")]
    if form is float:
        form = (int, float)
    if form is Any or form is object or (isinstance(value, form) and (form is bool or not isinstance(value, bool))):
        return []
    return [f"{where}: {value!r} is no {form}"]


def _of_document(value: object, form: Any, where: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{where}: {value!r} is no {form.__name__}"]
    hints = typing.get_type_hints(form, include_extras=True)
    found = [f"{where}.{key} is not in {form.__name__}" for key in value if key not in hints]
    for key, hint in hints.items():
        optional = typing.get_origin(hint) is typing.NotRequired
        if key in value:
            found += misfits(value[key], typing.get_args(hint)[0] if optional else hint, f"{where}.{key}")
        elif not optional:
            found.append(f"{where}.{key} is missing")
    return found
