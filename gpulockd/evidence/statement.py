"""What a benchmark's report says of itself to programs: a comment of Markdown that holds JSON.

`gpulockctl bench` writes it, and `gpulockctl audit` reads it where a suggestion links to the report.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeAlias

Value: TypeAlias = str | int | float | bool
Verdict: TypeAlias = Literal["passed", "not passed", "baseline"]

_COMMENT = re.compile(r"<!--\s*evidence:\s*(\{.*?\})\s*-->", re.DOTALL)
_VERDICTS = ("passed", "not passed", "baseline")


@dataclass(frozen=True, slots=True)
class Tried:
    """One variant of the report."""

    name: str
    way: str
    """`daemon`, or `polling`."""
    settings: Mapping[str, Value]
    """What it was set to, by whole keys; durations in seconds, as they would stand in the configuration."""
    verdict: Verdict
    bars: Mapping[str, str] = field(default_factory=dict)
    """The verdict on each bar, by its name."""


@dataclass(frozen=True, slots=True)
class Statement:
    date: str
    command: str
    version: str
    """Of gpulockd."""
    baseline: str
    """The name of the variant that the others were compared with."""
    variants: tuple[Tried, ...]


def written(statement: Statement) -> str:
    """As a comment, which no text in it can end."""
    text = json.dumps(asdict(statement), indent=1).replace(">", r"\u003e")
    return f"<!-- evidence: {text} -->"


def read(text: str) -> Statement | None:
    """What a document says of itself; None where it is no report of a benchmark, or its statement is damaged."""
    if (found := _COMMENT.search(text)) is None:
        return None
    try:
        fields = json.loads(found.group(1))
        variants = tuple(_tried(each) for each in fields["variants"])
        return Statement(**{name: str(fields[name]) for name in _NAMES}, variants=variants)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


_NAMES = ("date", "command", "version", "baseline")


def _tried(fields: dict[str, Any]) -> Tried:
    """Raises `ValueError`, `KeyError` or `TypeError` for what is none."""
    settings = {str(key): value for key, value in fields["settings"].items()}
    if fields["verdict"] not in _VERDICTS or not all(isinstance(each, Value) for each in settings.values()):
        raise ValueError("no verdict, or no values")
    bars = {str(name): str(verdict) for name, verdict in fields.get("bars", {}).items()}
    return Tried(str(fields["name"]), str(fields["way"]), settings, fields["verdict"], bars)
