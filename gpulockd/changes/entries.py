"""The lines of the configuration's history: who did what, when and why, and what came of it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..ports import Author


@dataclass(frozen=True, slots=True)
class Entry:
    at: float
    """Wall clock, seconds since 1970, for people."""
    how: str
    """`start`, `reload`, `apply`, `rollback`, `canary`, `promote`, ...; `found`: somebody had edited the file."""
    outcome: str
    """`applied`; `begun`: recorded, and not known to be in force yet; `refused`; `set-aside`: kept, never in force."""
    author: Author
    reason: str = ""
    version: int | None = None
    """Its number, where its text is kept."""
    digest: str = ""
    """SHA-256 of the bytes of its file; empty where there was none."""
    changes: tuple[Mapping[str, object], ...] = ()
    """What it changed of what was in force, as `gpulock.configuration.ChangeView`s."""
    why: str = ""
    """Why it was refused, or what else is to be said."""

    def line(self) -> bytes:
        """As JSON. What is no character (a command line may be any bytes) is escaped, and read back as it was."""
        return json.dumps(dataclasses.asdict(self), ensure_ascii=False).encode(errors="backslashreplace")

    def says_again(self, earlier: Entry) -> bool:
        """Whether it tells nothing that `earlier` did not, but for the time and the process."""
        return _told(self) == _told(earlier)


def digest_of(content: bytes | None) -> str:
    return "" if content is None else hashlib.sha256(content).hexdigest()


def entry_in(line: bytes) -> Entry:
    """Raises `ValueError`."""
    return entry_of(json.loads(line))


def entry_of(plain: Any) -> Entry:
    """What a later daemon has added is passed over. Raises `ValueError`."""
    known = {field.name for field in dataclasses.fields(Entry)}
    try:
        fields = {name: value for name, value in plain.items() if name in known}
        entry = Entry(**{**fields, "author": Author(**plain["author"]), "changes": tuple(plain["changes"])})
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"not a line of the history: {error!r}") from error
    if not (entry.version is None or type(entry.version) is int):
        raise ValueError(f"not the number of a version: {entry.version!r}")
    return entry


def _told(entry: Entry) -> Entry:
    return dataclasses.replace(entry, at=0.0, author=dataclasses.replace(entry.author, pid=None, command=""))
