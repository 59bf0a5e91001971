"""The daemon's own configuration file, replaced in its place."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ..wholefile import write


class Unwritable(Exception):
    """A file that cannot be replaced as it should be. The message says why, `hint` what would help."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


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
