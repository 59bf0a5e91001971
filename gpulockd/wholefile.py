"""Files that are there whole or not at all, whatever ends the process, or the power, in the middle."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

OWN = 0o600
"""The mode of what nobody else needs to read: a configuration may hold a password."""


def write(path: Path, content: bytes, mode: int = OWN, owner: tuple[int, int] | None = None) -> None:
    """Puts `content` in the place of `path`, forced to the disk. Raises `OSError`; then the old content stands.

    A symbolic link would be replaced by a file: give what it points to.
    """
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            if owner is not None:
                os.fchown(descriptor, *owner)
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise
    sync(path.parent)


def sync(directory: Path) -> None:
    """Forces to the disk which files are in it. Raises `OSError`."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
