"""Files that are there whole or not at all, whatever ends the daemon, or the power, in the middle."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from pathlib import Path

OWN = 0o600
"""The mode of what nobody else needs to read: a configuration may hold a password."""


class Unwritable(Exception):
    """A file that cannot be replaced as it should be. The message says why, `hint` what would help."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def write(path: Path, content: bytes, mode: int = OWN, owner: tuple[int, int] | None = None) -> None:
    """Puts `content` in the place of `path`, forced to the disk. Raises `OSError`; then the old content stands."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(descriptor, mode)
            if owner is not None:
                os.fchown(descriptor, *owner)
            os.fsync(descriptor)
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise
    _sync(path.parent)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_configuration(path: Path, content: bytes) -> None:
    """Puts `content` into the daemon's own configuration file, which keeps its mode and its owner.

    A symbolic link stays one, and what it points to is replaced. Raises `Unwritable`.
    """
    target = Path(os.path.realpath(path))
    try:
        found = target.stat()
        mode, owner = stat.S_IMODE(found.st_mode), (found.st_uid, found.st_gid)
    except FileNotFoundError:
        mode, owner = 0o640, None
    except OSError as error:
        raise _unwritable(target, error) from error
    try:
        write(target, content, mode, owner)
    except OSError as error:
        raise _unwritable(target, error) from error


def _unwritable(path: Path, error: OSError) -> Unwritable:
    return Unwritable(
        f"{path} cannot be replaced by uid {os.geteuid()}: {error.strerror or error}",
        "run this gpulockctl as root, which then writes the file itself, or give the daemon's user the file and its"
        " directory",
    )
