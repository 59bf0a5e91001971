"""Settings from the environment: `GPULOCKD__SECTION__KEY`, and the names that users of older systems know."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, get_origin

from pydantic.fields import FieldInfo

from .keys import SETTINGS
from .problems import Place, Problem
from .yamlfile import read_value

PREFIX = "GPULOCKD__"

NAMES: Mapping[str, str] = {PREFIX + key.upper().replace(".", "__"): key for key in SETTINGS}
"""Each variable, and the setting that it sets."""

OLDER_NAMES: Mapping[str, str] = {key.upper().replace(".", "_"): key for key in SETTINGS if key.startswith("gpu_lock.")}
"""`GPU_LOCK_POLL_INTERVAL` and its like; `GPULOCKD__...` goes before them."""

REDIS_NAMES = ("REDIS_HOST", "REDIS_PORT", "REDIS_LOCK_DB")
"""They make up `redis.url` where nothing else sets it."""


@dataclass(frozen=True, slots=True)
class Given:
    """A value that the environment has for a setting."""

    key: str
    value: Any
    place: Place


def read_environment(environ: Mapping[str, str]) -> tuple[list[Given], list[Problem]]:
    """What `NAMES` and `OLDER_NAMES` set, and a problem for each variable that only looks like it."""
    given: dict[str, Given] = {}
    problems = list(_strangers(environ))
    for name, key in (*OLDER_NAMES.items(), *NAMES.items()):
        if name not in environ:
            continue
        place = place_of(name)
        value, wrong = (environ[name], ()) if _is_text(SETTINGS[key]) else read_value(environ[name], place.file)
        if wrong:
            problems += [Problem.at(place, key, problem.message, problem.hint) for problem in wrong]
        else:
            given[key] = Given(key, value, place)
    return list(given.values()), problems


def read_redis_address(environ: Mapping[str, str]) -> tuple[Given | None, list[Problem]]:
    """The URL that `REDIS_NAMES` make up; an empty variable counts as not set."""
    named = {name: text for name in REDIS_NAMES if (text := environ.get(name, "").strip())}
    if not named:
        return None, []
    problems = [
        Problem.at(place_of(name), "redis.url", f"must be a whole number, not {named[name]!r}", hint)
        for name, hint in (
            (
                "REDIS_PORT",
                "Kubernetes sets it for a service named redis; GPULOCKD__REDIS__URL goes before it",
            ),
            ("REDIS_LOCK_DB", "the number of a database, such as 0"),
        )
        if not named.get(name, "0").isdecimal()
    ]
    host, port, db = (
        named.get("REDIS_HOST", "localhost"),
        named.get("REDIS_PORT", "6379"),
        named.get("REDIS_LOCK_DB", "0"),
    )
    address = f"[{host}]" if ":" in host else host
    return Given("redis.url", f"redis://{address}:{port}/{db}", place_of(", ".join(named))), problems


def place_of(name: str) -> Place:
    return Place(f"environment {name}")


def _is_text(setting: FieldInfo) -> bool:
    """Whether a variable is the value as it stands; others are YAML: `30m`, `true`, `[alice, 1001]`."""
    kind = setting.annotation
    return kind in (str, Path) or get_origin(kind) is Literal


def _strangers(environ: Mapping[str, str]) -> Iterator[Problem]:
    """Variables that begin with the prefix, or nearly so, and name no setting: they would not act."""
    twins = {name.replace("_", ""): name for name in NAMES}
    short = {name.removeprefix(PREFIX): name for name in NAMES}
    for name in sorted(environ.keys() - NAMES.keys()):
        upper = name.upper()
        if upper.startswith(f"{PREFIX}PROFILES__"):
            yield Problem.at(place_of(name), "", "sets nothing", "profiles are read from the file only")
        elif twin := twins.get(upper.replace("_", "")):
            yield Problem.at(place_of(name), "", "sets nothing", f"did you mean {twin}?")
        elif upper.startswith(PREFIX):
            near = get_close_matches(upper.removeprefix(PREFIX), short, n=1)
            hint = f"did you mean {short[near[0]]}?" if near else f"the names are {PREFIX}SECTION__KEY"
            yield Problem.at(place_of(name), "", "sets nothing", hint)
