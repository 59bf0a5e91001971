"""Where the truths of a project come from: its files alone, or, for gpulockd itself, the code of the daemon too."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from ..rulesfile import RulesFile
from ..source import Source
from ..truths import Truths


class Profile(Protocol):
    """What knows a project."""

    def fits(self, configs: Sequence[Source]) -> bool:
        """Whether these files are this project's configuration."""
        ...

    def truths(self, configs: Sequence[Source], rules: RulesFile, root: Path) -> Truths:
        """Raises `Unreadable` where a configuration, or what the rules file names, cannot be used."""
        ...
