"""From a file and the environment to one checked `Config`, and where each of its values came from."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from pydantic import ValidationError

from .environment import read_environment, read_redis_address
from .explain import explain
from .keys import settings_of, source_of
from .model import Config
from .problems import ConfigError, Place, Problem
from .rules import DEFAULT, violations
from .yamlfile import MAX_BYTES, Document, read_document

DEFAULT_FILE = Path("/etc/gpulockd/config.yml")

_Keys = tuple[str, ...]

_KEY = "[key]"
"""What pydantic says behind a name to tell that the name itself is wrong."""


@dataclass(frozen=True, slots=True)
class Loaded:
    config: Config
    places: Mapping[str, Place]
    """Where each setting is given, in the file or the environment; one that is not has its default. Where a profile
    leaves one to its fallback, that of the fallback."""
    source: Source
    """Where it is read from, and what is over that: to read it again."""
    content: bytes | None
    """What the file held; None: there is no file, or not any more."""

    @property
    def origins(self) -> Mapping[str, str]:
        """For each setting `default`, `FILE:LINE:COLUMN` or `environment NAME`."""
        return {key: str(self.places.get(key, DEFAULT)) for key in settings_of(self.config)}

    @property
    def file(self) -> Path | None:
        """What was read; None: there is no file."""
        return None if self.content is None else self.source.path


@dataclass(frozen=True, slots=True)
class Source:
    """A configuration file that may be read again, and the environment, which stays as it is."""

    path: Path
    must_exist: bool
    environ: Mapping[str, str]

    def read(self) -> bytes | None:
        """The file's bytes; None where there is none and need not be. Raises `ConfigError`."""
        return _content(self.path, must_exist=self.must_exist)

    def parsed(self, content: bytes | None) -> Loaded:
        """`content` as if the file held it. Raises `ConfigError` with everything that is wrong."""
        document = Document({}, {}, {}, ()) if content is None else read_document(content, str(self.path))
        gathered = _Gathered(document)
        gathered.add(self.environ)
        config = gathered.checked()
        return Loaded(config, gathered.places(config), self, content)


def load(path: Path | None, environ: Mapping[str, str], default_file: Path = DEFAULT_FILE) -> Loaded:
    """The file at `path` (None: `default_file`, if it is there), and over it what `environ` says.

    Raises `ConfigError` with everything that is wrong.
    """
    source = Source(path or default_file, path is not None, environ)
    return source.parsed(source.read())


def _content(path: Path, *, must_exist: bool) -> bytes | None:
    try:
        with path.open("rb") as file:
            before = _state(file)
            content = file.read(MAX_BYTES + 1)
            after = _state(file)
    except FileNotFoundError:
        if not must_exist:
            return None
        raise ConfigError([_unreadable(path, "no such file", "check the path after --config")]) from None
    except OSError as error:
        raise ConfigError([_unreadable(path, f"cannot be read: {error.strerror or error}")]) from error
    if after != before:
        message = "was written while it was read" if after.is_there else "was removed or replaced while it was read"
        raise ConfigError([_unreadable(path, message, "try again when it is complete")])
    return content


class _State(NamedTuple):
    size: int
    written: int
    is_there: bool
    """Whether it still has a name: one that was removed could be read to its end."""


def _state(file: BinaryIO) -> _State:
    stat = os.fstat(file.fileno())
    return _State(stat.st_size, stat.st_mtime_ns, stat.st_nlink > 0)


def _unreadable(path: Path, message: str, hint: str = "") -> Problem:
    return Problem.at(Place(str(path)), "", message, hint)


class _Gathered:
    """Everything that was given, where, and what is wrong with it."""

    def __init__(self, document: Document) -> None:
        self._values = document.values
        self._keys = document.keys
        self._places = dict(document.places)
        self._problems = list(document.problems)

    def add(self, environ: Mapping[str, str]) -> None:
        """Puts what the environment gives over what the file gave."""
        given, problems = read_environment(environ)
        self._problems += problems
        for setting in given:
            self._put(setting.key, setting.value, setting.place)
        if not self._redis_is_settled(environ):
            address, problems = read_redis_address(environ)
            self._problems += problems
            if address and not problems:
                self._put(address.key, address.value, address.place)

    def checked(self) -> Config:
        """The configuration. Raises `ConfigError`; rules are checked even where single values are wrong."""
        config = self._parsed()
        origins = {key: str(place) for key, place in self.places(config).items()}
        for broken in violations(config, origins, self._is_doubtful):
            place = self._places[tuple(broken.key.split("."))]
            self._problems.append(Problem.at(place, broken.key, broken.message, broken.hint))
        if self._problems:
            raise ConfigError(self._problems)
        return config

    def places(self, config: Config) -> dict[str, Place]:
        sources = {key: tuple(source_of(config, key).split(".")) for key in settings_of(config)}
        return {key: self._places[source] for key, source in sources.items() if source in self._places}

    def _parsed(self) -> Config:
        """The model of what was given, without the values that are wrong, each of which becomes a problem."""
        try:
            return Config.model_validate(self._values)
        except ValidationError as error:
            usable = copy.deepcopy(self._values)
            for details in error.errors():
                keys = tuple(str(part) for part in details["loc"])
                about_key = details["type"] == "extra_forbidden"
                if keys[-1] == _KEY:
                    keys, about_key = keys[:-1], True
                place = (self._keys if about_key else self._places)[keys]
                self._problems.append(Problem.at(place, ".".join(keys), *explain(details)))
                _remove(usable, keys)
        return Config.model_validate(usable)

    def _put(self, key: str, value: Any, place: Place) -> None:
        *sections, name = key.split(".")
        section: Any = self._values
        for inner in sections:
            if section.get(inner) is None:
                section[inner] = {}
            section = section[inner]
            if not isinstance(section, dict):
                return  # the file has something else there, which is told in its own place
        section[name] = value
        self._places[tuple(key.split("."))] = place

    def _redis_is_settled(self, environ: Mapping[str, str]) -> bool:
        """Whether `redis.url` is set. Its own variable can set it to nothing; the file cannot."""
        section = self._values.get("redis") or {}
        return (
            "GPULOCKD__REDIS__URL" in environ or not isinstance(section, dict) or section.get("url") not in {None, ""}
        )

    def _is_doubtful(self, key: str) -> bool:
        """Whether the value of a setting is not known, because it or its section is wrong."""
        return any(f"{key}.".startswith(f"{problem.key}.") for problem in self._problems if problem.key)


def _remove(values: dict[str, Any], keys: _Keys) -> None:
    *sections, name = keys
    for section in sections:
        values = values[section]
    del values[name]
