"""A text file with places: every offset in it has a line and a column."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

MAX_BYTES = 4 * 1024 * 1024
"""The longest file that is read. A guide has some hundred kilobytes; what is longer is no document."""

LINE_END = re.compile(r"\r\n|\r|\n")
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


@dataclass(frozen=True, order=True, slots=True)
class Place:
    """Lines and columns count from 1; a column counts characters."""

    file: str
    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class Unreadable(Exception):
    """A file that cannot be audited: why, and what to do about it."""

    def __init__(self, why: str, hint: str = "", place: Place | None = None) -> None:
        super().__init__(why)
        self.why, self.hint, self.place = why, hint, place


@dataclass(frozen=True)
class Source:
    """`text` is the file's, character for character: its line ends and its byte order mark are still there."""

    path: Path
    name: str
    """As it is shown: relative to where the audit was started, if it is below that."""
    text: str = field(repr=False)

    @cached_property
    def starts(self) -> list[int]:
        """The offset of each line's first character."""
        return [0, *(match.end() for match in LINE_END.finditer(self.text))]

    @cached_property
    def lines(self) -> list[str]:
        return LINE_END.split(self.text)

    def place(self, offset: int) -> Place:
        line = bisect_right(self.starts, offset)
        return Place(self.name, line, offset - self.starts[line - 1] + 1)


def read(path: Path, name: str) -> Source:
    """Raises `Unreadable`, with the reason, for whatever is no text of a reasonable size."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise Unreadable(f"cannot be read: {error.strerror or error}", "check the path and its rights") from error
    if len(content) > MAX_BYTES:
        raise Unreadable(f"is longer than {MAX_BYTES // 2**20} MiB", "leave it out with `exclude`, or split it")
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        before = Source(path, name, content[: error.start].decode())
        why = f"the byte 0x{content[error.start]:02x} is not UTF-8"
        raise Unreadable(why, "save the file as UTF-8", before.place(error.start and len(before.text))) from None
    if strange := _CONTROL.search(text):
        place = Source(path, name, text).place(strange.start())
        raise Unreadable(f"the character U+{ord(strange.group()):04X} is in no text", "is it a document?", place)
    return Source(path, name, text)
