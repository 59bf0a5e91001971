"""The systemd journal's native protocol: an entry is a datagram of fields, which `journalctl FIELD=VALUE` finds.

https://systemd.io/JOURNAL_NATIVE_PROTOCOL/
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path

SOCKET = Path("/run/systemd/journal/socket")

Fields = Iterable[tuple[str, str]]
"""Names of capitals, digits and underscores; one that comes several times has several values."""


def takes_standard_error(environ: Mapping[str, str]) -> bool:
    """Whether standard error goes to the journal: systemd names the device and inode of what it connected it to."""
    if not (stream := environ.get("JOURNAL_STREAM")):
        return False
    try:
        found = os.fstat(2)
    except OSError:
        return False
    return stream == f"{found.st_dev}:{found.st_ino}"


def encode(fields: Fields) -> bytes:
    """One entry. A value with a line break is told by its length."""
    parts = []
    for name, value in fields:
        data = value.encode(errors="backslashreplace")
        if b"\n" in data:
            parts.append(b"%s\n%s%s\n" % (name.encode(), struct.pack("<Q", len(data)), data))
        else:
            parts.append(b"%s=%s\n" % (name.encode(), data))
    return b"".join(parts)


class Journald:
    """Never waits: a journal that does not keep up loses entries, and its daemon loses no time."""

    def __init__(self, path: Path = SOCKET) -> None:
        """`path` need not be there yet: the journal may be restarted, too."""
        self._path = str(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)

    def send(self, fields: Fields) -> None:
        """Raises `BlockingIOError` where the journal is behind, and another `OSError` where there is none."""
        entry = encode(fields)
        try:
            self._socket.sendto(entry, self._path)
        except OSError as error:
            if error.errno not in (errno.EMSGSIZE, errno.ENOBUFS):
                raise
            self._send_as_file(entry)

    def _send_as_file(self, entry: bytes) -> None:
        """What is too long for a datagram is handed over as a sealed file in memory."""
        descriptor = os.memfd_create("gpulockd-log", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            with open(descriptor, "wb", closefd=False) as file:
                file.write(entry)
            seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
            rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", descriptor))
            self._socket.sendmsg([], [rights], 0, self._path)
        finally:
            os.close(descriptor)

    def close(self) -> None:
        self._socket.close()
