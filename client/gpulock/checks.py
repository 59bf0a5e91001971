"""What a parameter of a request may be: each check returns the value as the daemon uses it, or refuses it in words."""

from __future__ import annotations

import math
from collections.abc import Mapping

from .durations import parse_duration
from .errors import InvalidRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias

MAX_TEXT = 1024
"""The longest string in a request, in characters."""
MAX_CONTENT_BYTES = 60 * 1024
"""The longest configuration file in a request; it shares the frame with little else."""
MAX_LABELS = 32
MAX_GPUS = 1024
PRIORITIES = range(-10, 11)
"""Higher goes first; each step is worth a head start of the daemon's `priority_head_start` seconds."""
NOTIFICATIONS = ("queued", "warning", "lost")
"""What an `acquire` can ask to be told about its own request and lock."""

Check: TypeAlias = "Callable[[object], Any]"


def shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def wrong(value: object, expected: str) -> InvalidRequest:
    return InvalidRequest(f"{shown(value)} is not {expected}")


def text(value: object) -> str:
    if not isinstance(value, str):
        raise wrong(value, "a string")
    if len(value) > MAX_TEXT:
        raise InvalidRequest(f"a string of {len(value)} characters is too long", hint=f"at most {MAX_TEXT}")
    if not value.isprintable() and any(c < " " or "\x7f" <= c <= "\x9f" for c in value):
        raise InvalidRequest(f"{shown(value)} holds control characters", hint="they end up on terminals")
    return value


def content(value: object) -> str:
    """A file, which may be longer than any other string, and has lines."""
    if not isinstance(value, str):
        raise wrong(value, "a string")
    if len(value.encode(errors="surrogatepass")) > MAX_CONTENT_BYTES:
        raise InvalidRequest(
            f"a configuration of {len(value)} characters is too long to be sent",
            hint=f"at most {MAX_CONTENT_BYTES} bytes; put a longer one in its place and reload",
        )
    return value


def version(value: object) -> int:
    return integer(value, 1, 2**31)


def offset(value: object) -> int:
    """A place in a file."""
    return integer(value, 0, 2**53)


def flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise wrong(value, "true or false")
    return value


def integer(value: object, low: int, high: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise wrong(value, f"an integer from {low} to {high}")
    return value


def duration(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise wrong(value, "a duration")
    return parse_duration(value)


def positive_duration(value: object) -> float:
    seconds = duration(value)
    if seconds == 0:
        raise wrong(value, "a duration above 0")
    return seconds


def percent(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= 100:
        raise wrong(value, "a number above 0, up to 100")
    return float(value)


def share(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or math.isnan(value) or not 0 <= value <= 1:
        raise wrong(value, "a number from 0 to 1")
    return float(value)


def array(value: object, item: Check, most: int) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise wrong(value, "an array")
    if len(value) > most:
        raise InvalidRequest(f"an array of {len(value)} is too long", hint=f"at most {most}")
    return tuple(map(item, value))


def selector(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(integer(value, 0, MAX_GPUS))
    if not text(value):
        raise InvalidRequest("a GPU's name cannot be empty", hint="give an index, a UUID, or the beginning of one")
    return text(value)


def gpus(value: object) -> int | tuple[str, ...]:
    if isinstance(value, (list, tuple)):
        if not value:
            raise InvalidRequest("an empty list asks for no GPU", hint="give a number, or at least one GPU")
        return array(value, selector, MAX_GPUS)
    return integer(value, 1, MAX_GPUS)


def labels(value: object) -> Mapping[str, str]:
    if not isinstance(value, Mapping):
        raise wrong(value, "a map of strings")
    if len(value) > MAX_LABELS:
        raise InvalidRequest(f"{len(value)} labels are too many", hint=f"at most {MAX_LABELS}")
    return {text(key): text(each) for key, each in value.items()}


def notification(value: object) -> object:
    if value not in NOTIFICATIONS:
        raise InvalidRequest(f"{shown(value)} is no notification", hint=f"known: {', '.join(NOTIFICATIONS)}")
    return value


def notifications(value: object) -> tuple[str, ...]:
    return array(value, notification, len(NOTIFICATIONS))


def optional(check: Check) -> Check:
    return lambda value: None if value is None else check(value)


def msgid(value: object) -> int:
    return integer(value, 0, 2**32 - 1)
