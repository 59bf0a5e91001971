"""What is true of a project: its settings, and what its commands, server and code have."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, TypeAlias

from .commandline import Program
from .quantities import Value
from .source import Place, Source


@dataclass(frozen=True, slots=True)
class Setting:
    key: str
    """Dotted, from the top of its file."""
    value: Value
    origin: str
    """Where it is set: `config.yml:44:18`, or the code that has it as default."""
    unit: str | None = None
    """Of a bare number: a unit of time, empty for none, None where nobody knows."""
    place: Place | None = None
    """Of its key; None for a default."""


@dataclass(frozen=True, slots=True)
class Binding:
    """What a file outside of the configuration must have, because of a setting."""

    files: str
    """A pattern of paths in the tree, from the right."""
    pattern: str
    """A regular expression; its first group is the value."""
    key: str
    relation: Literal["equals", "at-least", "at-most"] = "equals"
    factor: float = 1.0
    """So many times the setting."""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """What the program says of a configuration that it does not accept. Line and column count from 1."""

    line: int
    column: int
    message: str
    hint: str = ""
    unknown: bool = False
    """Whether it is about a key that there is not."""

    def offset(self, source: Source) -> int:
        return source.starts[min(self.line, len(source.starts)) - 1] + self.column - 1


Refuses: TypeAlias = Callable[[str], Sequence[Refusal]]
"""What is wrong with a configuration's text."""


@dataclass(frozen=True)
class Truths:
    """None, for a whole kind of thing, means that nobody knows: rules about it keep silent."""

    values: Mapping[str, Sequence[Setting]]
    """What each key is set to: once for each file that sets it."""
    defaults: Mapping[str, Setting] = field(default_factory=dict)
    """What the code has where no file sets it."""
    variables: Mapping[str, str | None] | None = None
    """Names in the environment; the key that each sets, if it sets one."""
    variable_prefixes: tuple[str, ...] = ()
    """A name that begins with one of these is meant as a variable of this project."""
    spoken: Mapping[str, str] = field(default_factory=dict)
    """What people call a setting, in any language, and its key."""
    programs: Mapping[str, Program] = field(default_factory=dict)
    routes: Mapping[str, frozenset[str]] | None = None
    """Paths that the project serves over HTTP, and the methods of each."""
    metrics: frozenset[str] | None = None
    metric_prefixes: tuple[str, ...] = ()
    """A name that begins with one of these is meant as a metric."""
    other_names: frozenset[str] = frozenset()
    """Names that begin as metrics do, and are none: packages, functions."""
    alerts: frozenset[str] | None = None
    exit_codes: frozenset[int] = frozenset()
    """What the commands end with, besides 128 and a signal's number; empty where nobody knows."""
    port_keys: tuple[str, ...] = ()
    """The settings that have the ports at which `routes` are served."""
    bindings: Sequence[Binding] = ()
    refuses: Refuses | None = None
    is_complete: bool = False
    """Whether the configuration is the one that comes with the code, with every key at its default."""
    packages: tuple[str, ...] = ()
    """Python packages of the tree, as paths relative to its root."""
    declared_in: str = ""
    """The module that says which settings there are: to name one there is not to read it."""

    @cached_property
    def keys(self) -> frozenset[str]:
        return frozenset(self.values) | frozenset(self.defaults)

    @cached_property
    def sections(self) -> frozenset[str]:
        return frozenset(
            ".".join(parts[:end]) for key in self.keys for parts in [key.split(".")] for end in range(1, len(parts))
        )

    @cached_property
    def _by_ending(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for key in sorted(self.keys):
            parts = key.split(".")
            for start in range(len(parts)):
                found.setdefault(".".join(parts[start:]), []).append(key)
        return found

    def resolve(self, written: str, section: Iterable[str] = ()) -> tuple[str, ...]:
        """The keys that `written` can mean: a whole one, the end of one, or a variable of the environment.

        Where several keys end so, those whose section the headings of the place name are meant.
        """
        if written in self.keys:
            return (written,)
        if self.variables and (key := self.variables.get(written)):
            return (key,)
        found = self._by_ending.get(written, [])
        if len(found) > 1:
            titles = " ".join(section)
            named = [key for key in found if _mentions(titles, key.split(".")[:-1])]
            found = named or found
        return tuple(found)

    def settings(self, key: str) -> Sequence[Setting]:
        """What `key` is set to, or its default where nothing sets it."""
        return self.values.get(key) or ([self.defaults[key]] if key in self.defaults else [])


def is_distinctive(name: str) -> bool:
    """Whether a word can be taken for a name of the configuration wherever it stands."""
    return bool(re.fullmatch(r"[A-Za-z][\w-]*(?:[_.][\w-]+)+", name))


def _mentions(text: str, sections: Sequence[str]) -> bool:
    return bool(sections) and re.search(rf"\b{re.escape(sections[-1])}\b", text) is not None
