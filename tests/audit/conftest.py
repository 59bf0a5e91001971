"""A project to audit."""

from __future__ import annotations

from pathlib import Path

import pytest

from .marked import Workshop


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)
