"""The daemon's log: with fields to the systemd journal where it runs under it, else as lines for people.

One entry for each thing that happened, and the lock's id in all that belong together.
"""

from __future__ import annotations

import logging
import os
import sys

from ..core.actions import Announce
from .fields import IndexOf, fields_of
from .journald import Journald, takes_standard_error

log = logging.getLogger("gpulockd")

PLAIN = "%(asctime)s %(levelname)-7s %(message)s"
PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}
"""Of syslog, by the levels of `logging`."""


class Log:
    """A `ports.Observer`. `index_of` tells a GPU's index by its UUID."""

    def __init__(self, index_of: IndexOf = lambda _: None) -> None:
        self._index_of = index_of

    def observe(self, announce: Announce) -> None:
        if log.isEnabledFor(announce.severity):  # hardly ever for what happens at every lock
            fields = tuple(fields_of(announce, self._index_of))
            log.log(announce.severity, "%s: %s", announce.kind, _said(announce), extra={"fields": fields})


def _said(announce: Announce) -> str:
    lock = announce.data.get("lock")
    return f"{announce.message} ({lock})" if lock and str(lock) not in announce.message else announce.message


def configure(level: str, journald: Journald | None = None) -> None:
    """Has everything logged from `level` on. `journald` is for tests: what is to be used as the journal."""
    if journald is None and takes_standard_error(os.environ):
        journald = Journald()
    handler: logging.Handler
    if journald is not None:
        handler = JournalHandler(journald)
        handler.setFormatter(logging.Formatter())
    else:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter(PLAIN))
    logging.basicConfig(level=level.upper(), handlers=[handler])


def use_level(level: str) -> None:
    """From here on, lines of `level` (`debug` to `error`) and above."""
    logging.getLogger().setLevel(level.upper())


class JournalHandler(logging.Handler):
    """Entries with fields. What the journal could not take is counted, and told of with the next that it can."""

    def __init__(self, journald: Journald) -> None:
        super().__init__()
        self._journald = journald
        self._lost = 0

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._emit(self.format(record), record)
        except Exception:  # noqa: BLE001  # as every handler has it: a log must not end what it tells of
            self.handleError(record)

    def _emit(self, message: str, record: logging.LogRecord) -> None:
        try:
            self._tell_losses()
            self._send(record.levelno, message, (("LOGGER", record.name), *getattr(record, "fields", ())))
        except BlockingIOError:
            self._lost += 1
        except OSError as error:
            self._lost += 1
            # Also connected to the journal, if in another way; sd-daemon(3) has the form.
            sys.stderr.write(f"<{PRIORITIES.get(record.levelno, 5)}>{message} (without fields: {error})\n")

    def _tell_losses(self) -> None:
        if self._lost:
            words = f"{self._lost} entries were lost here: the journal did not keep up"
            self._send(logging.WARNING, words, (("EVENT", "log.lost"),))
            self._lost = 0

    def _send(self, level: int, message: str, more: tuple[tuple[str, str], ...]) -> None:
        priority = str(PRIORITIES.get(level, 5))
        self._journald.send(
            (("MESSAGE", message), ("PRIORITY", priority), ("SYSLOG_IDENTIFIER", "gpulockd"), *more),
        )

    def close(self) -> None:
        self._journald.close()
        super().close()
