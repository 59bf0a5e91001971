"""Processes of this host: who they are, when they end, and who belongs to whom."""

from __future__ import annotations

from .linux import LinuxProcesses

__all__ = ["LinuxProcesses"]
