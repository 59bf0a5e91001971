"""Moves what was committed from the write-ahead log into the database file, off the event loop.

A commit leaves its pages to the operating system and returns; a checkpoint waits until the disk has them, which
may take seconds on a busy one. Nobody waits for it.
"""

from __future__ import annotations

import logging
import sqlite3
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from .database import connect

log = logging.getLogger(__name__)

WAL_PAGES = 8 * 1024
"""Where a log ends that is written without a pause: it starts over only when all of it was moved."""


class Checkpointer:
    """Checkpoints after every `every` records, and sooner when asked."""

    def __init__(self, file: Path, every: int, wal_pages: int = WAL_PAGES) -> None:
        self._file = file
        self._every = every
        self._wal_pages = wal_pages
        self._written = 0
        # Opened once: opened by name later, it could meet another file than the one that is written.
        self._db = connect(file)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal-checkpoint")
        self._last: Future[int] | None = None

    def wrote(self, records: int, *, lasting: bool) -> None:
        """Call after a commit. `lasting`: it should survive a power cut as soon as the disk can."""
        self._written += records
        if not lasting and self._written < self._every:
            return
        idle = self._last is None or self._last.done()
        if lasting or idle:
            self._written = 0
            if idle and self._last is not None and self._last.result() > self._wal_pages:
                # Commits never paused long enough for the thread to catch up; little is left to be moved here.
                self._checkpoint()
            self._last = self._thread.submit(self._checkpoint)

    def close(self) -> None:
        self._thread.shutdown()
        self._db.close()

    def _checkpoint(self) -> int:
        """Returns the pages in the log."""
        try:
            # Passive: it waits for no writer, and no writer waits for it.
            _, pages, _ = self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.Error as error:
            log.warning("cannot checkpoint the journal %s: %s; it goes on in its -wal file", self._file, error)
            return 0
        return int(pages)
