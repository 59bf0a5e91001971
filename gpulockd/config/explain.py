"""Says in our own words what pydantic found, and what would do instead."""

from __future__ import annotations

from typing import Any, get_args

from pydantic_core import ErrorDetails

from .keys import PROFILES, SETTINGS, field_of, members_of
from .masking import masked_url
from .problems import did_you_mean
from .values import Unfit

_MUST = {
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "string_type": "must be text",
    "float_type": "must be a number",
    "finite_number": "must be a duration that ends",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "string_too_short": "must be some text",
}
_SECTION_EXPECTED = {"model_type", "model_attributes_type", "dict_type", "mapping_type"}
_BOOLEANS = {"yes": "true", "on": "true", "1": "true", "no": "false", "off": "false", "0": "false"}
"""What others take for booleans."""
_NAMES = "its keys are names of your own, each with a section: `ocr: {max_hold: 5m}`"
_LONGEST = 60


def explain(error: ErrorDetails) -> tuple[str, str]:
    """Message and hint."""
    path, kind = [str(part) for part in error["loc"]], error["type"]
    section, name = ".".join(path[:-1]), path[-1]
    if kind == "extra_forbidden":
        return "unknown key", _nearest(section, name)
    if kind in _SECTION_EXPECTED:
        keys = f"its keys: {', '.join(members_of('.'.join(path)))}"
        return f"must be a section, not {_shown(error['input'])}", _NAMES if path == [PROFILES] else keys
    return f"{_requirement(error)}, not {_shown(error['input'])}", _hint(error)


def _nearest(section: str, name: str) -> str:
    """The key that was meant: one of this section, or of the same name elsewhere; else all there are."""
    members = members_of(section)
    in_profile = section.startswith(f"{PROFILES}.")
    namesakes = [key for key in SETTINGS if key.rpartition(".")[2] == name and not in_profile]
    if hint := did_you_mean(name, members):
        return hint
    if namesakes:
        return f"did you mean {' or '.join(namesakes)}?"
    return f"known here: {', '.join(members)}"


def _requirement(error: ErrorDetails) -> str:
    context: dict[str, Any] = error.get("ctx", {})
    match error["type"]:
        case "value_error":
            return str(context["error"])
        case "literal_error":
            return f"must be {_either(_choices('.'.join(map(str, error['loc']))))}"
        case kind:
            return _MUST[kind].format(**context) if kind in _MUST else error["msg"]


def _hint(error: ErrorDetails) -> str:
    key, value = ".".join(map(str, error["loc"])), error["input"]
    if value is None:
        return "remove the key to have its default"
    if isinstance(unfit := error.get("ctx", {}).get("error"), Unfit):
        return unfit.hint
    if isinstance(value, str) and (choices := _choices(key)):
        return did_you_mean(value, choices)
    field = field_of(key)
    kind = None if field is None else field.annotation
    if kind is bool and (meant := _BOOLEANS.get(str(value).lower())):
        return f"did you mean {meant}?"
    if kind is int and isinstance(value, str) and value.strip().isdecimal():
        return "remove the quotes"
    if kind is str and isinstance(value, bool | int | float):
        return f"put it in quotes: '{str(value).lower()}'"
    return ""


def _choices(key: str) -> tuple[str, ...]:
    """What a setting with a fixed choice can be; nothing for others."""
    field = field_of(key)
    choices = () if field is None else get_args(field.annotation)
    return tuple(choice for choice in choices if isinstance(choice, str))


def _either(words: tuple[str, ...]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"


def _shown(value: object) -> str:
    match value:
        case None:
            return "empty"
        case dict():
            return "a section"
        case bool():
            return str(value).lower()
        case str():
            return _cut(repr(masked_url(value)))
        case _:
            return _cut(str(value))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
