"""How the configuration of a running daemon changes: read again, applied, rolled back, tried on a share of the
sessions; who did it, when and why."""

from __future__ import annotations

from .canaries import Canaries
from .changing import BY_SIGNAL, Changing

__all__ = ["BY_SIGNAL", "Canaries", "Changing"]
