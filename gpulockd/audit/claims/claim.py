"""One statement of a document about one setting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..roles import Role
from ..source import Source

Where = Literal["block", "table", "prose", "environment"]


@dataclass(frozen=True, slots=True)
class Claim:
    keys: tuple[str, ...]
    """The settings that can be meant: more than one where the document does not say which."""
    name: str
    """The setting as the document calls it."""
    written: str
    """Its value as it stands there."""
    source: Source
    start: int
    end: int
    """Offsets of the value in the file."""
    where: Where
    role: Role
    unit: str | None = None
    """The unit that a header or a column gives to a bare number."""
    of_default: bool = False
    """Whether it is about what the code has by default, not about what is set."""
