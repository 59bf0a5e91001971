"""The daemon's log: lines on standard error, for people on a terminal and for the systemd journal."""

from __future__ import annotations

import logging
import os

from .core.actions import Announce

log = logging.getLogger("gpulockd")


def observe(announce: Announce) -> None:
    """A `ports.Observer`: one line per thing that happened."""
    log.log(announce.severity, "%s: %s", announce.kind, announce.message)


PLAIN = "%(asctime)s %(levelname)-7s %(message)s"


def configure(level: str) -> None:
    """Lines on standard error: with a time on a terminal, with a priority for the systemd journal."""
    to_journal = "JOURNAL_STREAM" in os.environ
    handler = logging.StreamHandler()
    handler.setFormatter(_JournalFormat() if to_journal else logging.Formatter(PLAIN))
    logging.basicConfig(level=level.upper(), handlers=[handler])


def use_level(level: str) -> None:
    """From here on, lines of `level` (`debug` to `error`) and above."""
    logging.getLogger().setLevel(level.upper())


class _JournalFormat(logging.Formatter):
    """sd-daemon(3): a line that begins with <N> has that syslog priority."""

    def format(self, record: logging.LogRecord) -> str:
        priority = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3}.get(record.levelno, 5)
        return f"<{priority}>{super().format(record)}"
