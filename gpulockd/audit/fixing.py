"""`--fix`: puts right what has one right answer, and leaves every other byte of a file as it was."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Mapping
from itertools import groupby
from pathlib import Path

from ..wholefile import write
from .findings import Edit
from .source import Source, Unreadable, read


def corrected(text: str, edits: Iterable[Edit]) -> tuple[str, int]:
    """`text` after `edits`, and how many there were: one that overlaps an earlier one is left out."""
    parts, at, count = [], 0, 0
    for edit in sorted(edits, key=lambda edit: (edit.start, edit.end)):
        if edit.start >= at:
            parts += [text[at : edit.start], edit.text]
            at, count = edit.end, count + 1
    return "".join(parts) + text[at:], count


def fix(edits: Iterable[Edit], sources: Mapping[str, Source]) -> int:
    """Writes the corrected files, each in one step; returns how many edits were made.

    A file that has changed since it was read is left alone.
    """
    made = 0
    ordered = sorted(set(edits), key=lambda edit: (edit.file, edit.start, edit.end, edit.text))
    for file, group in groupby(ordered, key=lambda edit: edit.file):
        source = sources[file]
        text, count = corrected(source.text, group)
        if _is_unchanged(source):
            _replace(source.path, text.encode())
            made += count
    return made


def _is_unchanged(source: Source) -> bool:
    try:
        return read(source.path, source.name).text == source.text
    except Unreadable:
        return False


def _replace(path: Path, content: bytes) -> None:
    real = path.resolve()
    before = real.stat()
    write(real, content, stat.S_IMODE(before.st_mode), (before.st_uid, before.st_gid))
