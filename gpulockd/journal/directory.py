"""The state directory: made, checked, and claimed by one daemon at a time."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from pathlib import Path

from ..ports import AlreadyRunning, StartupRefused

PID_FILE = "daemon.pid"
ELSEWHERE = "make it writable for the daemon's user, or name another one with daemon.state_dir"


class StateDirectory:
    """A directory that belongs to this daemon alone until `close`, or until its process ends, however it does.

    The claim is the kernel's lock on the directory itself: nothing is left to clean up after a crash, and no file
    can be deleted to get around it. `daemon.pid` only tells the next one whom it met.

    Raises `StartupRefused`: it cannot be made or written, others could write to it, or another daemon has it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        _make(path)
        self._descriptor = _claim(path)
        try:
            _write_pid(path / PID_FILE)
        except BaseException:
            self.close()
            raise

    def sync(self) -> None:
        """Makes new names in the directory survive a power cut."""
        os.fsync(self._descriptor)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _make(path: Path) -> None:
    """Makes it if it is not there. Nobody but its owner may write to it: a file could be put in its place."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.stat()
    except OSError as error:
        raise StartupRefused(f"cannot make the state directory {path}: {error.strerror}", ELSEWHERE) from error
    if found.st_uid != os.geteuid():
        raise StartupRefused(
            f"the state directory {path} belongs to uid {found.st_uid}, and this daemon runs as uid {os.geteuid()}",
            f"run it as that user, or: chown {os.geteuid()} {path}",
        )
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise StartupRefused(
            f"others may write to the state directory {path} (mode {stat.S_IMODE(found.st_mode):04o})",
            f"chmod 0700 {path}, after a look at what is in it",
        )


def _claim(path: Path) -> int:
    """The descriptor that holds the lock. Programs that the daemon starts do not inherit it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise
    except BlockingIOError as error:
        raise AlreadyRunning(
            f"another gpulockd (pid {_read_pid(path / PID_FILE)}) has the state directory {path}",
            "stop that one first, or give this one a directory of its own with daemon.state_dir",
        ) from error
    except OSError as error:
        raise StartupRefused(f"cannot lock the state directory {path}: {error.strerror}", ELSEWHERE) from error
    return descriptor


def _read_pid(file: Path) -> str:
    try:
        return file.read_text(errors="replace").strip() or "unknown"
    except OSError:
        return "unknown"


def _write_pid(file: Path) -> None:
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, f"{os.getpid()}\n".encode())
        finally:
            os.close(descriptor)
    except OSError as error:
        why = "it is a symbolic link" if error.errno == errno.ELOOP else error.strerror
        raise StartupRefused(f"cannot write {file}: {why}", ELSEWHERE) from error
