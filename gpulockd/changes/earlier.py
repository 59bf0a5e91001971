"""The layout of versions before this one: `history.json`, written anew with each change, and the text of version 7 in
`000007.yml`. Both were bounded in number."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from ..wholefile import write
from .entries import Entry, digest_of, entry_of

STORY = "history.json"

log = logging.getLogger(__name__)


def bring_over(directory: Path, history: Path, begun: Path, texts: Path) -> None:
    """Turns it into this layout, where it is found. A kill on the way costs nothing: it is done again.

    One that cannot be read is set aside. Raises `OSError`; then it stays as it is.
    """
    story = directory / STORY
    if not story.exists():
        return
    if not history.exists():  # else only the old files were left to be removed
        try:
            entries = [entry_of(each) for each in json.loads(story.read_bytes())["entries"]]
        except (ValueError, KeyError, TypeError) as error:
            aside = story.with_suffix(".unreadable")
            story.replace(aside)
            log.error("the history of configurations cannot be read (%s); it is set aside as %s", error, aside)
            return
        for text in _texts_in(directory):
            content = text.read_bytes()
            write(texts / f"{digest_of(content)}.yml", content)
        if under_way := _under_way(entries):
            entries.remove(under_way)
            write(begun, under_way.line())
        write(history, b"".join(entry.line() + b"\n" for entry in entries))
    for text in _texts_in(directory):
        text.unlink()
    story.unlink()


def _texts_in(directory: Path) -> list[Path]:
    return sorted(directory.glob("[0-9]*.yml"))


def _under_way(entries: list[Entry]) -> Entry | None:
    """What was begun when the daemon ended."""
    latest = next((entry for entry in reversed(entries) if entry.version is not None), None)
    return latest if latest is not None and latest.outcome == "begun" else None
