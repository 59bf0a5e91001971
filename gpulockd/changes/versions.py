"""Every configuration that was applied, as the bytes of its file, and the history of how each came and went.

In `configurations/` of the state directory, for people to read too:

    history.jsonl           who, when, why and what came of it: a line each, never changed, never removed
    begun.json              the change that is under way, or was when the daemon ended: its line is still to be written
    texts/SHA-256.yml       the file of a version; the same text is kept once

So a change costs the same whatever is there already, and so does a start, which reads the end of the history only. What
was tried and refused is in the history too, without a version.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path

from ..wholefile import write
from .earlier import bring_over
from .entries import Entry, digest_of, entry_in
from .lines import Line, Lines

DIRECTORY = "configurations"
HISTORY = "history.jsonl"
BEGUN = "begun.json"
TEXTS = "texts"
PAGE_BYTES = 1024 * 1024
"""Of lines, after which a page ends: an answer has to fit into a reply."""

log = logging.getLogger(__name__)


class Versions:
    """Reads and writes the directory. Every method may wait for the disk. One thread at a time changes it; others may
    read meanwhile."""

    def __init__(self, state_dir: Path) -> None:
        """Where nothing can be read or written, later methods say so: a daemon has to start all the same."""
        self._directory = state_dir / DIRECTORY
        self._texts = self._directory / TEXTS
        self._lines = Lines(self._directory / HISTORY)
        self._begun: Entry | None = None
        """What is under way, or has come to an end that could not be written down yet."""
        self.current: Entry | None = None
        """The version in force."""
        self._highest = 0
        """The last number that was given."""
        self._recalled = False
        try:
            self.prepare()
        except OSError as error:
            log.error("the history of configurations cannot be read: %s", error)

    # What is there. Each raises `OSError`.

    @property
    def under_way(self) -> Entry | None:
        """What was begun and not settled."""
        begun = self._begun
        return begun if begun is not None and begun.outcome == "begun" else None

    def page(self, limit: int, before: int | None = None) -> tuple[list[Entry], int | None]:
        """At most `limit` entries, the latest first, and where those before them begin: `before` for the next page.
        None: there are none."""
        begun = self._begun if before is None else None
        entries = [] if begun is None else [begun]
        size = 0
        for line in self._lines.backwards(before):
            if len(entries) >= limit or size >= PAGE_BYTES:
                return entries, line.ends
            size += len(line.text)
            if (entry := _read(line, begun)) is not None:
                entries.append(entry)
        return entries, None

    def before_current(self) -> Entry | None:
        """The last version that was in force before and had another text."""
        current = self.current
        return next(
            (
                entry
                for entry in self._backwards()
                if entry.version is not None and entry.outcome == "applied"
                if current is not None and entry.digest != current.digest
            ),
            None,
        )

    def entry_of(self, version: int) -> Entry | None:
        """Looks through the history, and takes apart only the lines that may be the one."""
        if not 0 < version <= self._highest:
            return None
        sought = re.compile(rb'"version": %d\b' % version)
        return next((entry for entry in self._backwards(sought) if entry.version == version), None)

    def content(self, version: int) -> bytes | None:
        """The text of a version; None for one that had no file, and ran on the defaults.

        Raises `KeyError` for one that is not kept: there was none, or somebody has removed it.
        """
        entry = self.entry_of(version)
        if entry is None:
            raise KeyError(version)
        if not entry.digest:
            return None
        try:
            content = self._text(entry.digest).read_bytes()
        except FileNotFoundError:
            raise KeyError(version) from None
        if digest_of(content) != entry.digest:
            log.error("%s is not what was kept", self._text(entry.digest))
            raise KeyError(version)
        return content

    # What changes it. Each raises `OSError`, and then it has not changed, but for a text that nothing names.

    def prepare(self) -> None:
        """What has to be before anything is added; a disk that was full at the start may have room by now."""
        for directory in (self._directory, self._texts):
            with contextlib.suppress(FileExistsError):
                directory.mkdir(mode=0o700)
        bring_over(self._directory, self._directory / HISTORY, self._directory / BEGUN, self._texts)
        if not self._recalled:
            self._recall()
            self._recalled = True

    def begin(self, entry: Entry, content: bytes | None) -> Entry:
        """Records a version that is about to be in force. `settle` says what became of it."""
        kept = self._with_text(entry, content)
        write(self._directory / BEGUN, kept.line())
        self._begun = kept
        self._highest += 1
        return kept

    def settle(self, outcome: str, why: str = "") -> None:
        """Says what became of the version that was begun. That is so also where it cannot be written down now: it is
        with the next change, or the next daemon finds out by the file."""
        assert self._begun is not None, "something was begun"
        self._begun = dataclasses.replace(self._begun, outcome=outcome, why=why)
        if outcome == "applied":
            self.current = self._begun
        self._finish()

    def keep(self, entry: Entry, content: bytes | None) -> Entry:
        """Adds a version that is in force already, or never will be."""
        kept = self._with_text(entry, content)
        self._lines.append(kept.line())
        self._highest += 1
        if kept.outcome == "applied":
            self.current = kept
        return kept

    def note(self, entry: Entry) -> None:
        """Adds what led to no version. What is refused once more, and for the same reason, has its line: who tries it
        every minute does not fill the disk."""
        self.prepare()
        self._finish()
        latest = next(self._backwards(), None)
        if entry.outcome != "refused" or latest is None or not entry.says_again(latest):
            self._lines.append(entry.line())

    # Their parts.

    def _recall(self) -> None:
        """What an earlier daemon has left, as far back as the version in force."""
        latest = next((entry for entry in self._backwards() if entry.version is not None), None)
        self._highest = _number(latest)
        begun = self._read_begun()
        if _number(begun) > self._highest:  # else its line is written, and only the file was left
            self._begun, self._highest = begun, _number(begun)
        self.current = self._in_force()

    def _read_begun(self) -> Entry | None:
        try:
            return entry_in((self._directory / BEGUN).read_bytes())
        except FileNotFoundError:
            return None
        except ValueError as error:
            log.error("the change that was under way cannot be read: %s", error)
            return None

    def _in_force(self) -> Entry | None:
        versions = (entry for entry in self._backwards() if entry.version is not None)
        return next((entry for entry in versions if entry.outcome == "applied"), None)

    def _backwards(self, sought: re.Pattern[bytes] | None = None) -> Iterator[Entry]:
        """Every entry, the latest first; `sought`: only those in whose line that is."""
        begun = self._begun
        if begun is not None:
            yield begun
        for line in self._lines.backwards():
            if (sought is None or sought.search(line.text)) and (entry := _read(line, begun)) is not None:
                yield entry

    def _with_text(self, entry: Entry, content: bytes | None) -> Entry:
        """As the next version, its text on the disk before anything names it."""
        self.prepare()
        self._finish()
        digest = digest_of(content)
        if content is not None:
            self._put(digest, content)
        return dataclasses.replace(entry, version=self._highest + 1, digest=digest)

    def _finish(self) -> None:
        """Moves what was begun into the history."""
        if self._begun is not None:
            self._lines.append(self._begun.line())
            self._begun = None
        (self._directory / BEGUN).unlink(missing_ok=True)

    def _text(self, digest: str) -> Path:
        return self._texts / f"{digest}.yml"

    def _put(self, digest: str, content: bytes) -> None:
        """The time of a text is that of the last version that has it: whoever makes room goes by that."""
        text = self._text(digest)
        if text.exists() and digest_of(text.read_bytes()) == digest:
            os.utime(text)
        else:
            write(text, content)


def _number(entry: Entry | None) -> int:
    return 0 if entry is None or entry.version is None else entry.version


def _read(line: Line, begun: Entry | None) -> Entry | None:
    """None for one that a fault of the disk has spoilt, and for what was begun when the reading began, and told."""
    try:
        entry = entry_in(line.text)
    except ValueError as error:
        log.error("the history of configurations, at byte %d: %s", line.begins, error)
        return None
    return None if begun is not None and entry.version == begun.version else entry
