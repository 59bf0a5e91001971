"""What a check found, and what to do about it."""

from __future__ import annotations

from typing import Literal, NamedTuple

State = Literal["ok", "warn", "fail", "skip"]


class Finding(NamedTuple):
    check: str
    state: State
    """`warn`: it works, but look at it; `fail`: it does not work; `skip`: it could not be looked at, or is not here."""
    message: str
    next: str = ""
    """What to do, where something is to be done."""
