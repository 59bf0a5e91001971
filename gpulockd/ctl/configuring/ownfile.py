"""Writes the daemon's configuration file in its place, where root may and the daemon may not."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from gpulock.errors import ConfigurationRefused, ConfigurationUnwritable

from ...wholefile import write


@contextlib.contextmanager
def replaced(path: Path, content: bytes) -> Iterator[None]:
    """Meanwhile the file holds `content`, whole, with the mode and the owner that it had; and afterwards too, unless
    the daemon refused it.

    Two who do this at once are one after the other, each with its own content. Raises `ConfigurationUnwritable`.
    """
    target = Path(os.path.realpath(path))
    with _alone(target.parent):
        before = _read(target)
        _put(target, content)
        try:
            yield
        except ConfigurationRefused:
            _put(target, before)
            raise


@contextlib.contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """The lock is on the directory: a file that is replaced takes its own with it."""
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise _unwritable(directory, error) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _read(target: Path) -> bytes:
    try:
        return target.read_bytes()
    except OSError as error:
        raise _unwritable(target, error) from None


def _put(target: Path, content: bytes) -> None:
    try:
        found = target.stat()
        write(target, content, stat.S_IMODE(found.st_mode), (found.st_uid, found.st_gid))
    except OSError as error:
        raise _unwritable(target, error) from None


def _unwritable(path: Path, error: OSError) -> ConfigurationUnwritable:
    return ConfigurationUnwritable(f"{path} cannot be replaced: {error.strerror or error}", hint="nothing was changed")
