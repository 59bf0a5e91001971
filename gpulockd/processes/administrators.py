"""Whose word counts for more: root, the daemon's own user, and whoever the configuration names."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(slots=True)
class Administrators:
    """Asked when somebody connects: who was one then is one for as long as the connection lasts."""

    names: tuple[str | int, ...] = ()
    """User names and uids."""

    def __call__(self, uid: int, user: str) -> bool:
        return uid in (0, os.geteuid()) or user in self.names or uid in self.names
