"""What some tests need and a machine lacks: a loud reason to skip them, but not where all was to be installed."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def lacks(what: str) -> NoReturn:
    """Skips the test, or fails it in CI, whose `.ci/run` installs what there is to install."""
    if os.environ.get("CI"):
        pytest.fail(f"CI must not do without this test, but {what}")
    pytest.skip(what)
