"""What is wrong with a configuration, and where: all of it at once, in words that a person can act on."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands: in a file, or in a variable of the environment (which has no line)."""

    file: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        return ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong. Lines and columns count from 1; None where there is none."""

    file: str
    line: int | None
    column: int | None
    key: str
    """Dotted (`redis.ttl`); empty where no single key is to blame."""
    message: str
    hint: str = ""

    @classmethod
    def at(cls, place: Place, key: str, message: str, hint: str = "") -> Problem:
        return cls(place.file, place.line, place.column, key, message, hint)

    @property
    def place(self) -> Place:
        return Place(self.file, self.line, self.column)

    def __str__(self) -> str:
        subject = f"{self.place}: {self.key}: " if self.key else f"{self.place}: "
        return f"{subject}{self.message} ({self.hint})" if self.hint else f"{subject}{self.message}"


class ConfigError(Exception):
    """The configuration cannot be used. `problems` has all that was found, in the order of the file."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=reading_order))
        super().__init__("\n".join(str(problem) for problem in self.problems))


def reading_order(problem: Problem) -> tuple[bool, str, int, int]:
    """To sort them by: as one meets them on reading the file, and then what has no line."""
    return (problem.line is None, problem.file, problem.line or 0, problem.column or 0)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`did you mean X?` for the nearest of `known`, or nothing where none is near."""
    by_lower = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower(), by_lower, n=1)
    return f"did you mean {by_lower[near[0]]}?" if near else ""
