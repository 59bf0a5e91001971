"""Processes of this host: who they are, when they end, and who belongs to whom."""

from __future__ import annotations

from .administrators import Administrators
from .linux import LinuxProcesses

__all__ = ["Administrators", "LinuxProcesses"]
