"""Which version this gpulockctl is."""

from __future__ import annotations

from importlib import metadata


def version() -> str:
    try:
        return metadata.version("gpulockd")
    except metadata.PackageNotFoundError:
        return "unknown"
