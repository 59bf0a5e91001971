"""A socket that plays journald: takes datagrams and sealed files, and reads the fields in them."""

from __future__ import annotations

import array
import fcntl
import os
import socket
import struct
from pathlib import Path
from types import TracebackType
from typing import Self

Entry = dict[str, list[str]]


class FakeJournal:
    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(10)
        self.files = 0
        """Entries that came as files."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def next(self) -> Entry:
        """The next entry; waits for it."""
        room = array.array("i", [0])
        data, ancillary, _, _ = self._socket.recvmsg(1 << 20, socket.CMSG_SPACE(room.itemsize))
        for _, _, content in ancillary:
            room.frombytes(content[: room.itemsize])
            data = self._read(room[-1])
        return parsed(data)

    def _read(self, descriptor: int) -> bytes:
        """As journald does: only a file that nobody can change any more."""
        self.files += 1
        seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
        assert fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) & seals == seals
        with open(descriptor, "rb") as file:
            os.lseek(descriptor, 0, os.SEEK_SET)
            return file.read()


def parsed(data: bytes) -> Entry:
    entry: Entry = {}
    while data:
        line, _, data = data.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            (length,) = struct.unpack_from("<Q", data)
            value, data = data[8 : 8 + length], data[8 + length :]
            assert data[:1] == b"\n"
            data = data[1:]
        entry.setdefault(name.decode(), []).append(value.decode())
    return entry
