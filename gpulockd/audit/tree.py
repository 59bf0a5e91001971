"""The files of a project, as a person who has its sources sees them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

_SKIPPED = frozenset(("node_modules", "__pycache__", "venv", "site-packages"))
MAX_ENTRIES = 100_000
"""So many files and folders are looked at; a larger tree is not known, and nothing is said about what it lacks."""


class Tree:
    def __init__(self, root: Path) -> None:
        self.root = root

    @cached_property
    def _entries(self) -> tuple[frozenset[str], bool]:
        found: set[str] = set()
        for folder, folders, files in os.walk(self.root):
            folders[:] = [name for name in folders if name not in _SKIPPED and not name.startswith(".")]
            prefix = os.path.relpath(folder, self.root)
            prefix = "" if prefix == "." else prefix + "/"
            found.update(prefix + name for name in (*folders, *files))
            if len(found) > MAX_ENTRIES:
                return frozenset(), False
        return frozenset(found), True

    @property
    def is_known(self) -> bool:
        return self._entries[1]

    @property
    def paths(self) -> frozenset[str]:
        """Files and folders, relative to the root, hidden ones left out."""
        return self._entries[0]

    @cached_property
    def by_name(self) -> Mapping[str, list[str]]:
        """The paths of each file's or folder's name."""
        found: dict[str, list[str]] = {}
        for path in sorted(self.paths):
            found.setdefault(path.rpartition("/")[2], []).append(path)
        return found
