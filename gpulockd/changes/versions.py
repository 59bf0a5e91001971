"""Every configuration that was applied, as the bytes of its file, and the story of how each came and went.

In `configurations/` of the state directory: one file for each version, and `history.json` with who, when and why. Both
are bounded in number. What was tried and refused is in the story too, without a version.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..ports import Author
from ..wholefile import write

DIRECTORY = "configurations"
STORY = "history.json"
VERSIONS_KEPT = 100
ENTRIES_KEPT = 400

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the story."""

    at: float
    """Wall clock, seconds since 1970, for people."""
    how: str
    """`start`, `reload`, `apply`, `rollback`, `canary`, `promote`, ...; `found`: somebody had edited the file."""
    outcome: str
    """`applied`; `begun`: recorded, and not known to be in force yet; `refused`; `set-aside`: kept, never in force."""
    author: Author
    reason: str = ""
    version: int | None = None
    """Its number, where its bytes are kept."""
    digest: str = ""
    """SHA-256 of the bytes of its file; empty where there was none."""
    changes: tuple[Mapping[str, object], ...] = ()
    """What it changed of what was in force, as `gpulock.configuration.ChangeView`s."""
    why: str = ""
    """Why it was refused, or what else is to be said."""


def digest_of(content: bytes | None) -> str:
    return "" if content is None else hashlib.sha256(content).hexdigest()


class Versions:
    """Reads and writes the directory. Every method may wait for the disk."""

    def __init__(self, state_dir: Path) -> None:
        """A story that cannot be read is set aside, and a new one begun. Where nothing can be written, later methods
        say so: a daemon has to start all the same."""
        self._directory = state_dir / DIRECTORY
        with contextlib.suppress(OSError):
            self._directory.mkdir(mode=0o700, exist_ok=True)
        self._entries = self._read()

    @property
    def entries(self) -> Sequence[Entry]:
        """The story, the earliest first."""
        return tuple(self._entries)

    @property
    def current(self) -> Entry | None:
        """The version in force, or about to be."""
        return next((entry for entry in reversed(self._versions()) if entry.outcome in ("applied", "begun")), None)

    def before_current(self) -> Entry | None:
        """The last version that was in force before and had other bytes."""
        current = self.current
        applied = (entry for entry in reversed(self._versions()) if entry.outcome == "applied")
        return next((entry for entry in applied if current is not None and entry.digest != current.digest), None)

    def _versions(self) -> list[Entry]:
        return [entry for entry in self._entries if entry.version is not None]

    def entry_of(self, version: int) -> Entry | None:
        return next((entry for entry in reversed(self._entries) if entry.version == version), None)

    def content(self, version: int) -> bytes | None:
        """The bytes of a version; None for one that had no file, and ran on the defaults.

        Raises `KeyError` for one that is not kept (any more).
        """
        entry = self.entry_of(version)
        if entry is None:
            raise KeyError(version)
        if not entry.digest:
            return None
        try:
            return self._path(version).read_bytes()
        except FileNotFoundError:
            raise KeyError(version) from None

    def keep(self, entry: Entry, content: bytes | None) -> Entry:
        """Adds a version to the story. Its bytes are on the disk before the story names them. Raises `OSError`."""
        number = self._next()
        if content is not None:
            write(self._path(number), content)
        kept = dataclasses.replace(entry, version=number, digest=digest_of(content))
        self._write([*self._entries, kept])
        self._forget()
        return kept

    def note(self, entry: Entry) -> None:
        """Adds what led to no version. Raises `OSError`."""
        self._write([*self._entries, entry])

    def settle(self, version: int, outcome: str, why: str = "") -> None:
        """Says what became of a version that was begun. Raises `OSError`."""
        self._write(
            [
                dataclasses.replace(entry, outcome=outcome, why=why or entry.why) if entry.version == version else entry
                for entry in self._entries
            ]
        )

    def _next(self) -> int:
        on_disk = (int(path.stem) for path in self._directory.glob("[0-9]*.yml") if path.stem.isdecimal())
        in_story = (entry.version for entry in self._entries if entry.version is not None)
        return 1 + max(0, *on_disk, *in_story, 0)

    def _path(self, version: int) -> Path:
        return self._directory / f"{version:06}.yml"

    def _write(self, entries: list[Entry]) -> None:
        entries = entries[-ENTRIES_KEPT:]
        story = {"schema_version": 1, "entries": [dataclasses.asdict(entry) for entry in entries]}
        write(self._directory / STORY, json.dumps(story, ensure_ascii=False, indent=1).encode())
        self._entries = entries

    def _forget(self) -> None:
        """Removes the oldest versions beyond the bound; the story keeps their lines."""
        for path in sorted(self._directory.glob("[0-9]*.yml"))[:-VERSIONS_KEPT]:
            path.unlink(missing_ok=True)

    def _read(self) -> list[Entry]:
        path = self._directory / STORY
        try:
            return [_entry(each) for each in json.loads(path.read_bytes())["entries"]]
        except OSError as error:
            if not isinstance(error, FileNotFoundError):
                log.error("the history of configurations cannot be read: %s", error)
            return []
        except (ValueError, KeyError, TypeError) as error:
            aside = path.with_suffix(".unreadable")
            with contextlib.suppress(OSError):
                path.replace(aside)
            log.error("the history of configurations cannot be read (%s); it is set aside as %s", error, aside)
            return []


def _entry(kept: Mapping[str, Any]) -> Entry:
    known = {field.name for field in dataclasses.fields(Entry)}
    fields = {name: value for name, value in kept.items() if name in known}
    return Entry(**{**fields, "author": Author(**kept["author"]), "changes": tuple(kept["changes"])})
