"""The kinds of values that a setting can have, and how each is read. All refuse with a whole sentence."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from gpulock.durations import parse_duration
from gpulock.errors import InvalidRequest

SOCKET_PATH_BYTES = 107
"""The longest path of a Unix socket: `sun_path` has 108 bytes, one of them the end."""


class Unfit(ValueError):
    """A value that a setting of this kind cannot have: what it must be, and a hint."""

    def __init__(self, requirement: str, hint: str = "") -> None:
        super().__init__(requirement)
        self.hint = hint


def _seconds(value: Any) -> float:
    unfit = Unfit("must be a duration", "30s, 5m, 2h, or seconds as a number")
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise unfit
    try:
        return parse_duration(value)
    except (InvalidRequest, OverflowError):
        raise unfit from None


Seconds = Annotated[float, BeforeValidator(_seconds), Field(allow_inf_nan=False)]
PositiveSeconds = Annotated[float, BeforeValidator(_seconds), Field(gt=0, allow_inf_nan=False)]
SecondsOrForever = Annotated[float, BeforeValidator(_seconds), Field(gt=0)]
OwnSeconds = Annotated[float | None, BeforeValidator(_seconds), Field(gt=0)]
"""`SecondsOrForever`; None, which cannot be written, where a more general setting holds."""

Share = Annotated[float, Field(gt=0, le=1)]
Count = Annotated[int, Field(ge=0)]
PositiveCount = Annotated[int, Field(ge=1)]
Port = Annotated[int, Field(ge=0, le=65535)]
Text = Annotated[str, Field(min_length=1)]


def _absolute_path(value: Any) -> Path:
    if not isinstance(value, str | Path) or "\0" in str(value):
        raise Unfit("must be a path")
    path = Path(value)
    if not path.is_absolute():
        raise Unfit("must be an absolute path", "a relative one would depend on where the daemon is started")
    return path


def _socket_path(value: Any) -> Path:
    path = _absolute_path(value)
    if (length := len(bytes(path))) > SOCKET_PATH_BYTES:
        raise Unfit(f"must have at most {SOCKET_PATH_BYTES} bytes", f"it has {length}; no Unix socket's path may")
    return path


def _optional_path(value: Any) -> str:
    return "" if value == "" else str(_absolute_path(value))


AbsolutePath = Annotated[Path, BeforeValidator(_absolute_path)]
SocketPath = Annotated[Path, BeforeValidator(_socket_path)]
OptionalPath = Annotated[str, BeforeValidator(_optional_path)]
"""An absolute path, or empty for none."""


def _accounts(value: Any) -> tuple[str | int, ...]:
    if not isinstance(value, list | tuple):
        raise Unfit("must be a list of user names and uids", "[alice, 1001]")
    for item in value:
        is_name = isinstance(item, str) and item.strip() != ""
        is_uid = isinstance(item, int) and not isinstance(item, bool) and item >= 0
        if not (is_name or is_uid):
            raise Unfit("must be a list of user names and uids", f"{item!r} is neither")
    return tuple(value)


Accounts = Annotated[tuple[str | int, ...], BeforeValidator(_accounts)]
"""User names and uids."""


def _namespace(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[^{}\s]+", value):
        raise Unfit("must be a word without spaces and braces", "it begins every key in Redis")
    return value


def _profile_name(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9_-]+", value):
        raise Unfit("must be a name of letters, digits, - and _")
    return value


ProfileName = Annotated[str, BeforeValidator(_profile_name)]

Namespace = Annotated[str, BeforeValidator(_namespace)]

_REDIS_URL = re.compile(r"(rediss?(\+sentinel|\+cluster)?|unix)://\S+")


def _redis_url(value: Any) -> str:
    if not isinstance(value, str) or not (value == "" or _REDIS_URL.fullmatch(value)):
        raise Unfit(
            "must be the URL of a Redis, or empty",
            "redis://HOST:PORT/DB, rediss://HOST:PORT/DB, unix:///PATH?db=DB,"
            " redis+sentinel://HOST:PORT,HOST:PORT/SERVICE, redis+cluster://HOST:PORT",
        )
    return value


RedisUrl = Annotated[str, BeforeValidator(_redis_url)]
"""Begins like one; the rest is read by those who connect."""
