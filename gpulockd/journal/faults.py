"""What to do when SQLite or the kernel cannot work, by their error codes."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path

_REMEDIES = {
    sqlite3.SQLITE_FULL: "free some space on the file system of {directory}",
    sqlite3.SQLITE_READONLY: "make {directory} and the files in it writable for the daemon's user",
    sqlite3.SQLITE_CANTOPEN: "make {directory} and the files in it writable for the daemon's user",
    sqlite3.SQLITE_PERM: "make {directory} and the files in it writable for the daemon's user",
    sqlite3.SQLITE_IOERR: "see what the kernel says of the disk (dmesg), of quotas and of limits on file size",
    sqlite3.SQLITE_BUSY: "another program has the file locked: `fuser {file}` names it",
    sqlite3.SQLITE_LOCKED: "another program has the file locked: `fuser {file}` names it",
    sqlite3.SQLITE_NOMEM: "the machine has no memory left",
}

_LIKE = {
    errno.ENOSPC: sqlite3.SQLITE_FULL,
    errno.EDQUOT: sqlite3.SQLITE_FULL,
    errno.EROFS: sqlite3.SQLITE_READONLY,
    errno.EACCES: sqlite3.SQLITE_PERM,
    errno.EPERM: sqlite3.SQLITE_PERM,
    errno.ENOMEM: sqlite3.SQLITE_NOMEM,
}
"""What the kernel says, in SQLite's words; the rest is trouble with the disk."""


def remedy(error: sqlite3.Error | OSError, file: Path) -> str | None:
    """The way out where the surroundings are at fault; None where the file is."""
    if isinstance(error, OSError):
        code = _LIKE.get(error.errno or 0, sqlite3.SQLITE_IOERR)
    else:
        # An error that Python raises by itself has no code.
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    found = _REMEDIES.get(code)
    return found and found.format(file=file, directory=file.parent)
