"""The log of turns: what is committed and not yet in the tables, one record for each turn of the engine.

    the log    16 bytes `MAGIC`, 16 random bytes that its database knows it by, and the records
    a record   number of the turn, length and checksum of its entries, checksum of this head; the entries

One write appends a record, and from then on it outlives the process. A process that is killed within that write, or a
disk that is full, leaves the beginning of a record at the end of the log: nobody was told of that turn, and it is cut
off. Anything else that cannot be read is damage, and refuses the start; only after a boot, when nobody who held
anything lives, what a power cut has left of the log is enough.
"""

from __future__ import annotations

import itertools
import logging
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

from ..ports import StartupRefused

log = logging.getLogger(__name__)

MAGIC = b"gpulockd turns\0\1"
ID_BYTES = 16
START = len(MAGIC) + ID_BYTES

_HEAD = struct.Struct(">QII")
_SUM = struct.Struct(">I")
_RECORD = _HEAD.size + _SUM.size


class TurnLog:
    """The open log. What it cannot do raises `OSError`."""

    def __init__(self, file: Path, *, make: bool) -> None:
        """Opens it; `make`s one that is empty, and has no id, where there is none."""
        self.file = file
        flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | (os.O_CREAT if make else 0)
        self._descriptor = os.open(file, flags, 0o600)
        self._end = os.fstat(self._descriptor).st_size
        self._frayed = False
        """Whether something may follow on `_end` that is no whole record."""
        self.gap = False
        """Whether turns that were committed may be lost: the log was emptied, or belonged to another journal."""

    @property
    def id(self) -> bytes:
        """What its database knows it by; empty where it has none."""
        head = os.pread(self._descriptor, START, 0)
        return head[len(MAGIC) :] if head.startswith(MAGIC) and len(head) == START else b""

    @property
    def size(self) -> int:
        return self._end

    def after(self, last: int) -> Iterator[tuple[int, bytes]]:
        """Number and entries of every turn after the `last` one that the database has; to be run to its end before
        anything is appended.

        Raises `ValueError` where one is damaged or missing. What comes before it can be trusted.
        """
        for number, entries in self._read():
            if number <= last:
                continue  # they were entered, and the process was killed before it cleared the log
            if number != last + 1:
                raise ValueError(f"after turn {last} of the journal comes turn {number}: the journal is an older copy")
            last = number
            yield number, entries

    def _read(self) -> Iterator[tuple[int, bytes]]:
        content = os.pread(self._descriptor, self._end, 0)
        self._end, self._frayed = START, True
        while len(content) - self._end >= _RECORD:
            begin, entries_begin = self._end, self._end + _RECORD
            number, length, of_entries = _HEAD.unpack_from(content, begin)
            if _SUM.unpack_from(content, begin + _HEAD.size)[0] != crc32(content[begin : begin + _HEAD.size]):
                raise ValueError(f"no turn begins at byte {begin}")
            end = entries_begin + length
            if end > len(content):
                break
            if crc32(entries := content[entries_begin:end]) != of_entries:
                raise ValueError(f"turn {number}, at byte {begin}, is not what was written")
            self._end = end
            yield number, entries
        self._frayed = self._end < len(content)

    def append(self, number: int, entries: bytes) -> None:
        """Where that fails, the turn may be there or not; the next one takes its place."""
        if self._frayed:
            self._cut(self._end)
        head = _HEAD.pack(number, len(entries), crc32(entries))
        self._write(head + _SUM.pack(crc32(head)) + entries)

    def clear(self) -> None:
        """Forgets every turn."""
        self._cut(START)

    def begin(self) -> bytes:
        """Forgets everything; returns its new id."""
        self._cut(0)
        new = os.urandom(ID_BYTES)
        self._write(MAGIC + new)
        return new

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _write(self, data: bytes) -> None:
        end = self._end
        try:
            while data:  # a disk that becomes full takes a part, and tells why with the rest
                written = os.pwrite(self._descriptor, data, end)
                data, end = data[written:], end + written
        except OSError:
            self._frayed = True
            raise
        self._end = end

    def _cut(self, end: int) -> None:
        os.ftruncate(self._descriptor, end)
        self._end, self._frayed = end, False


def open_log(file: Path, known: bytes, *, same_boot: bool) -> TurnLog:
    """The log of the database that knows it as `known`; without an id where that one has none, or it is lost.

    What belongs to no database any more is kept beside it. Raises `StartupRefused` where turns of this boot are lost.
    """
    needed = bool(known) and same_boot
    try:
        turns = TurnLog(file, make=not needed)
        if turns.size <= START or turns.id == known:
            turns.gap = needed and turns.id != known
            return turns
        turns.close()
        if needed:
            raise lost(file, "it belongs to another journal")
        aside = next(path for number in itertools.count(1) if not (path := Path(f"{file}.{number}")).exists())
        file.rename(aside)
        log.warning("%s belongs to no journal that is here: it is kept as %s", file, aside)
        turns = TurnLog(file, make=True)
        turns.gap = True
        return turns
    except FileNotFoundError:
        raise lost(file, "it is missing") from None
    except OSError as error:
        raise StartupRefused(
            f"cannot open {file}: {error.strerror}", "it must be a plain file that the daemon's user can write"
        ) from error


def lost(file: Path, why: object) -> StartupRefused:
    return StartupRefused(
        f"the journal's last turns cannot be read from {file}: {why}",
        f"put the file back that belongs to the journal, or, once no worker uses a GPU any more, go on without it: "
        f"truncate -s 0 {file} (this forgets the locks that were granted last)",
    )
