"""Writes the daemon's configuration file in its place, where root may and the daemon may not."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from gpulock.errors import ConfigurationUnwritable

from ...wholefile import write


def replace(path: Path, content: bytes) -> None:
    """Whole or not at all; its mode and owner stay. Raises `ConfigurationUnwritable`."""
    target = Path(os.path.realpath(path))
    try:
        before = target.stat()
        write(target, content, stat.S_IMODE(before.st_mode), (before.st_uid, before.st_gid))
    except OSError as error:
        raise ConfigurationUnwritable(
            f"{target} cannot be replaced: {error.strerror or error}", hint="nothing was changed"
        ) from None
