"""How the configuration of a running daemon changes: read again, applied, rolled back; who did it, when and why."""

from __future__ import annotations

from .changing import BY_SIGNAL, Changing

__all__ = ["BY_SIGNAL", "Changing"]
