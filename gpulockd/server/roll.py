"""The roll: a line for each connection that outlives the daemon, in memory that outlives it too.

It is a file without a name (`memfd_create`), mapped, and kept beside the connections. To write to it costs what writing
to memory costs, and SIGKILL takes nothing back. A line says what the journal does not know of a connection: whose it
is, the digest of its key, and above all its *mark*. That is 1 from before anything is read of it until everything
that was read is answered and the journal has what came of it. Of whatever connection has a mark when the next daemon
looks, a request may be lost, or half of one: its client is asked what it still waits for. A line is *torn* while half a
frame may have gone out: nothing can be said to that client any more, and its connection is ended.
"""

from __future__ import annotations

import enum
import mmap
import os
import struct
from collections.abc import Iterator
from typing import NamedTuple

_HEADER = struct.Struct("<8sII")
_MAGIC = b"gpulroll"
VERSION = 2
"""Of what a line means. A daemon that finds another one ends the connections."""
_JOURNAL = 16
"""Where the id of the journal begins that has what the connections of this roll have been told."""
_JOURNAL_BYTES = 16
_FIRST = 64
"""Bytes before the first line."""
_LINE = struct.Struct("<BBBBBxxxQQ32s64sQ")
_NUMBER = struct.Struct("<Q")
_LENGTH = _LINE.size
_KEY_BYTES, _CLIENT_BYTES = 32, 64
_STATE, _FLAGS, TORN, _SESSION = 1, 2, 4, 8
"""Where in a line these are; the mark is its first byte."""
_HAS_KEY, _WATCHES, _RESUMES = 1, 2, 4


class Stage(enum.IntEnum):
    """How far a connection has come."""

    NONE = 0
    """The line is free."""
    OPEN = 1
    """Not kept yet: it ends with the daemon."""
    KEPT = 2
    """Handed to the store, which says nothing, and may have had no room."""
    ENDED = 3
    """Its session has ended, and what it held with it. Of one that was cut off, the line is free."""


class Line(NamedTuple):
    marked: bool
    stage: Stage
    session: int
    first: int
    """The session that began with the connection, by which the store knows it."""
    start_time: int
    """Of its process, as in `core.model.Process`."""
    key: str | None
    """Digest, in hexadecimal."""
    client: str
    """The client's name for itself, or the beginning of it."""
    watches: bool
    resumes: bool
    """Whether its client can be asked what it still waits for."""
    torn: bool

    @property
    def resumable(self) -> bool:
        """Whether the next daemon can go on with it though it is marked."""
        return self.resumes and not self.torn


class UnknownRoll(Exception):
    """It was written by another version or beside another journal, or is none."""


class Roll:
    """The lines by number, from 0. `marks[place(n)]` is the mark of line n, for whoever is in a hurry."""

    def __init__(self, descriptor: int, lines: int, journal: bytes = b"") -> None:
        """Maps the roll behind `descriptor`, which stays the caller's, or begins one in an empty file; it has at least
        so many lines then, and belongs to the journal of that id, where one is given. Raises `UnknownRoll`."""
        self.descriptor = descriptor
        size = os.fstat(descriptor).st_size
        if size and (size < _FIRST or _HEADER.unpack(os.pread(descriptor, _HEADER.size, 0)) != _header()):
            raise UnknownRoll(f"descriptor {descriptor} is no roll of version {VERSION}")
        if size and journal and os.pread(descriptor, _JOURNAL_BYTES, _JOURNAL) not in (journal, bytes(_JOURNAL_BYTES)):
            raise UnknownRoll("the journal is another one, or may have forgotten what their clients believe in")
        self.lines = max(lines, (size - _FIRST) // _LENGTH)
        os.ftruncate(descriptor, _FIRST + self.lines * _LENGTH)
        self.marks = mmap.mmap(descriptor, 0)
        self.marks[: _HEADER.size] = _HEADER.pack(*_header())
        if journal:
            self.marks[_JOURNAL : _JOURNAL + _JOURNAL_BYTES] = journal

    @classmethod
    def new(cls, lines: int, journal: bytes = b"") -> Roll:
        return cls(os.memfd_create("gpulockd-roll", os.MFD_CLOEXEC), lines, journal)

    @staticmethod
    def place(number: int) -> int:
        return _FIRST + number * _LENGTH

    def used(self) -> Iterator[int]:
        """The lines that are not free."""
        stages = self.marks[_FIRST + _STATE :: _LENGTH]
        return (number for number, stage in enumerate(stages) if stage != Stage.NONE)

    def read(self, number: int) -> Line:
        marked, stage, flags, length, torn, session, start_time, key, client, first = _LINE.unpack_from(
            self.marks, self.place(number)
        )
        return Line(
            bool(marked),
            Stage(stage),
            session,
            first,
            start_time,
            key.hex() if flags & _HAS_KEY else None,
            client[:length].decode(errors="replace"),
            bool(flags & _WATCHES),
            bool(flags & _RESUMES),
            bool(torn),
        )

    def enter(self, number: int, session: int, start_time: int) -> None:
        """A new connection, of which nothing was read."""
        _LINE.pack_into(self.marks, self.place(number), 0, Stage.OPEN, 0, 0, 0, session, start_time, b"", b"", session)

    def introduce(self, number: int, key: str, client: str, *, resumes: bool = False) -> None:
        """What its `hello` said. Its mark has to be set: half of this would be worse than nothing."""
        place = self.place(number)
        marked, stage, flags, _, torn, session, start_time, _, _, first = _LINE.unpack_from(self.marks, place)
        flags = flags & ~_RESUMES | (_RESUMES if resumes else 0)
        name = client.encode()[:_CLIENT_BYTES].decode(errors="ignore").encode()
        _LINE.pack_into(
            self.marks,
            place,
            marked,
            stage,
            flags | _HAS_KEY,
            len(name),
            torn,
            session,
            start_time,
            bytes.fromhex(key),
            name,
            first,
        )

    def begin_anew(self, number: int, session: int) -> None:
        """Another session goes on with the connection, which stays marked."""
        place = self.place(number)
        self.marks[place + _FLAGS] &= ~_WATCHES
        _NUMBER.pack_into(self.marks, place + _SESSION, session)

    def watches(self, number: int) -> None:
        self.marks[self.place(number) + _FLAGS] |= _WATCHES

    def move(self, number: int, stage: Stage) -> None:
        self.marks[self.place(number) + _STATE] = stage

    def close(self) -> None:
        self.marks.close()
        os.close(self.descriptor)


def _header() -> tuple[bytes, int, int]:
    return _MAGIC, VERSION, _LENGTH
