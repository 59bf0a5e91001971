"""SQLite record of locks and history: written before anybody is told."""

from __future__ import annotations

from .past import Bounds
from .sqlite import SqliteJournal

__all__ = ["Bounds", "SqliteJournal"]
