"""The record of locks and history, in SQLite and a log: written before anybody is told."""

from __future__ import annotations

from .past import Bounds
from .sqlite import SqliteJournal

__all__ = ["Bounds", "SqliteJournal"]
