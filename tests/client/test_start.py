"""What starts with every command loads what it needs, and nothing more."""

from __future__ import annotations

import subprocess
import sys

import pytest

DEAR = {
    "argparse",
    "asyncio",
    "enum",
    "inspect",
    "logging",
    "re",
    "selectors",
    "socket",
    "subprocess",
    "threading",
    "typing",
}
"""Modules that take a millisecond or more, each with what it brings along."""


@pytest.mark.parametrize("statement", ["import gpulock", "import gpulock.command", "import gpulock.connection"])
def test_nothing_dear_is_imported(statement: str) -> None:
    code = f"import sys; before = set(sys.modules); {statement}; print(*set(sys.modules) - before)"
    # Without `site`: what that imports depends on who else is installed.
    path = f"import sys; sys.path[:] = {sys.path!r}; "
    done = subprocess.run([sys.executable, "-S", "-c", path + code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "gpulock" in loaded
    assert not loaded & DEAR
