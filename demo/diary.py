"""Diaries: what each process did and when, written so that a SIGKILL at any instruction leaves a true record.

Each process has a file of its own. A line that a kill cut in half is the last one of its file, and is passed over:
whoever writes goes on to the deed only when the whole line is written, so what was not written was not done.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SUFFIX = ".diary"


def now() -> float:
    """Seconds on the one clock that all processes of a host share and nobody sets."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(frozen=True, slots=True)
class Entry:
    who: str
    at: float
    what: str
    facts: Mapping[str, Any] = field(default_factory=dict)


class Diary:
    """One process's own. The time of an entry is the moment before it was written."""

    def __init__(self, directory: Path, who: str) -> None:
        self.who = who
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        self._file = os.open(directory / f"{who}{SUFFIX}", flags, 0o644)

    def write(self, what: str, **facts: Any) -> None:
        line = json.dumps({"at": now(), "what": what, **facts}) + "\n"
        os.write(self._file, line.encode())

    def close(self) -> None:
        os.close(self._file)


class Reader:
    """Reads all diaries of a directory, those still being written too."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._read: dict[Path, int] = {}

    def news(self) -> list[Entry]:
        """What was written since the last call, in the order of time."""
        entries: list[Entry] = []
        for path in sorted(self._directory.glob(f"*{SUFFIX}")):
            with path.open("rb") as file:
                file.seek(self._read.get(path, 0))
                whole, newline, _ = file.read().rpartition(b"\n")
            self._read[path] = self._read.get(path, 0) + len(whole) + len(newline)
            entries += [_entry(path.stem, line) for line in whole.splitlines()]
        return sorted(entries, key=lambda entry: entry.at)


def read(directory: Path) -> list[Entry]:
    """Every entry of every diary, in the order of time."""
    return Reader(directory).news()


def _entry(who: str, line: bytes) -> Entry:
    facts = json.loads(line)
    return Entry(who, facts.pop("at"), facts.pop("what"), facts)
