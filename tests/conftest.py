"""What holds for every test: short temporary paths, and the marks that say what a test needs."""

from __future__ import annotations

import os

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Put temporary directories under /tmp: a Unix socket's path has 107 bytes, and TMPDIR may be long."""
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", "/tmp")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip, aloud, what only root can show."""
    if os.geteuid() == 0:
        return
    skip = pytest.mark.skip(reason="needs root: it acts as several users")
    for item in items:
        if item.get_closest_marker("root"):
            item.add_marker(skip)
