"""Writes the daemon's configuration file in its place, where root may and the daemon may not."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from gpulock.errors import ConfigurationUnwritable


def replace(path: Path, content: bytes) -> None:
    """Whole or not at all; its mode and owner stay. Raises `ConfigurationUnwritable`."""
    target = Path(os.path.realpath(path))
    try:
        before = target.stat()
        descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with open(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fchmod(descriptor, stat.S_IMODE(before.st_mode))
                os.fchown(descriptor, before.st_uid, before.st_gid)
                os.fsync(descriptor)
            Path(temporary).replace(target)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise ConfigurationUnwritable(
            f"{target} cannot be replaced: {error.strerror or error}", hint="nothing was changed"
        ) from None
