"""The Unix socket that clients connect to: made at a path, or taken over from systemd.

A path is replaced only when a socket stands there that nobody listens at. Between that look and the removal another
daemon could in theory start at the same path; what keeps two daemons from granting the same GPUs is the lease, not
this file.
"""

from __future__ import annotations

import errno
import grp
import os
import socket
import stat
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..ports import StartupRefused
from .activation import Inherited

MAX_PATH = 107
"""`sun_path` has 108 bytes, the last of which is a zero."""
BACKLOG = 4096
"""How many clients can wait at the door; the kernel caps it at net.core.somaxconn."""
MODE = 0o660
GROUP = "gpulock"
"""Its members may connect, where it exists."""


@dataclass(slots=True)
class Endpoint:
    """A listening socket, and the file that goes with it."""

    socket: socket.socket
    path: str
    audience: str
    """Who may connect, for the log."""
    made: tuple[int, int] | None
    """Device and inode of the file this daemon made; None for systemd's, which outlives the daemon."""

    def close(self) -> None:
        """Stops listening, and removes the file if it is still the one that was made here."""
        self.socket.close()
        if self.made is not None and _identity(self.path) == self.made:
            Path(self.path).unlink(missing_ok=True)


def bind(path: str, *, group: str = GROUP) -> Endpoint:
    """Listens at `path`, which only its owner and `group` may open.

    Raises `StartupRefused` where something stands in the way, a running daemon among others.
    """
    _check_length(path)
    _make_directory(Path(path).parent)
    _clear(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    endpoint = Endpoint(sock, path, "", None)
    try:
        _bind_privately(sock, path)
        endpoint.made = _identity(path)
        endpoint.audience = _open_to(path, group)
        sock.listen(BACKLOG)
    except OSError as error:
        endpoint.close()
        raise StartupRefused(
            f"cannot listen at {path}: {error.strerror}", "check the directory's owner and mode, or set daemon.socket"
        ) from None
    return endpoint


def adopt(passed: Sequence[Inherited]) -> Endpoint | None:
    """Listens at the socket that systemd passed; None where it passed nothing.

    Raises `StartupRefused` for anything but one listening Unix stream socket.
    """
    if not passed:
        return None
    if len(passed) > 1:
        names = ", ".join(each.name for each in passed)
        raise StartupRefused(
            f"systemd passed {len(passed)} sockets ({names}), and the daemon listens at one",
            "keep one ListenStream= in gpulockd.socket",
        )
    name, descriptor = passed[0]
    problem = _unfit(descriptor)
    if problem:
        raise StartupRefused(
            f"descriptor {descriptor} ({name}) from systemd is {problem}",
            "give gpulockd.socket one ListenStream= with an absolute path",
        )
    sock = socket.socket(fileno=descriptor)
    sock.setblocking(False)
    return Endpoint(sock, str(sock.getsockname()), "whom gpulockd.socket lets in", None)


def taken_over(kept: Inherited, path: str) -> Endpoint | None:
    """Listens on where the daemon before did; None, and the socket closed, where that is not at `path`."""
    if _unfit(kept.descriptor) is None and _identity(path) is not None:
        sock = socket.socket(fileno=kept.descriptor)
        if sock.getsockname() == path:
            sock.setblocking(False)
            return Endpoint(sock, path, "whom the daemon before let in", None)
        sock.close()
    else:
        os.close(kept.descriptor)
    return None


def _check_length(path: str) -> None:
    length = len(os.fsencode(path))
    if length > MAX_PATH:
        raise StartupRefused(
            f"the socket's path has {length} bytes, and the kernel allows {MAX_PATH}: {path}",
            "set daemon.socket to a shorter path",
        )


def _make_directory(directory: Path) -> None:
    try:
        directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        found = directory.stat()
    except OSError as error:
        raise StartupRefused(
            f"cannot make the socket's directory {directory}: {error.strerror}",
            "create it for the daemon's user, or set daemon.socket",
        ) from None
    in_its_place = "and so put a socket of their own in the daemon's place"
    if found.st_uid not in (0, os.geteuid()):
        raise StartupRefused(
            f"the socket's directory {directory} belongs to uid {found.st_uid}, who may write to it, {in_its_place}",
            f"chown {os.geteuid()} {directory}, or set daemon.socket",
        )
    others = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if others and not found.st_mode & stat.S_ISVTX:
        who, whose = ("everybody", "o") if others & stat.S_IWOTH else (f"group {found.st_gid}", "g")
        raise StartupRefused(f"{who} may write to {directory}, {in_its_place}", f"chmod {whose}-w {directory}")


def _clear(path: str) -> None:
    """Removes a dead socket from `path`, and nothing else."""
    before = _identity(path)
    if before is None:
        return
    mode = os.lstat(path).st_mode
    if not stat.S_ISSOCK(mode):
        kind = "a symbolic link" if stat.S_ISLNK(mode) else "a directory" if stat.S_ISDIR(mode) else "no socket"
        raise StartupRefused(f"{path} exists and is {kind}", "move it away, or set daemon.socket")
    if listener := _listener(path):
        raise StartupRefused(
            f"{listener} listens at {path} already", "stop it first, or set daemon.socket to another path"
        )
    if _identity(path) == before:
        Path(path).unlink(missing_ok=True)


def _listener(path: str) -> str | None:
    """Who accepts connections at `path`, in words; None where nobody does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
        try:
            probe.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            return None
        except BlockingIOError:
            return "a process with a full backlog"
        except OSError as error:
            if error.errno == errno.EPROTOTYPE:
                return "a process with a socket of another type"
            raise StartupRefused(
                f"cannot tell whether a daemon listens at {path}: {error.strerror}",
                "remove the file if none does, or set daemon.socket",
            ) from None
        pid = struct.unpack("3i", probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
    return f"process {pid} ({_command(pid)})"


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text(errors="replace").strip()
    except OSError:
        return "of another container"


def _bind_privately(sock: socket.socket, path: str) -> None:
    """Binds so that at no moment anybody but the owner can connect."""
    before = os.umask(0o177)
    try:
        sock.bind(path)
    finally:
        os.umask(before)


def _open_to(path: str, group: str) -> str:
    """Lets `group` connect where it exists and the daemon may; returns who may now."""
    own = f"user {os.geteuid()} and root"
    try:
        os.chown(path, -1, grp.getgrnam(group).gr_gid, follow_symlinks=False)
    except KeyError:
        return f"{own} only: there is no group {group!r}"
    except PermissionError:
        return f"{own} only: not allowed to give the socket to group {group!r}"
    Path(path).chmod(MODE)
    return f"{own}, and group {group!r}"


def _unfit(descriptor: int) -> str | None:
    try:
        with socket.socket(fileno=os.dup(descriptor)) as sock:
            if sock.family != socket.AF_UNIX or sock.type != socket.SOCK_STREAM:
                return "no Unix stream socket"
            if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                return "not listening (Accept=yes?)"
    except OSError as error:
        return f"no socket: {error.strerror}"
    return None


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
