"""Read-only HTTP: health, status and metrics, for people and scrapers. What changes anything goes over the socket."""

from __future__ import annotations

from .answers import MonitorConfig
from .metrics import Metrics
from .server import HttpServer

__all__ = ["HttpServer", "Metrics", "MonitorConfig"]
