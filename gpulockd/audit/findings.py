"""What an audit finds: a rule's id, a place, what stands there, what is true, and where the truth comes from."""

from __future__ import annotations

from dataclasses import dataclass

from .source import Place


@dataclass(frozen=True, slots=True)
class Edit:
    """Puts `text` in place of the characters from `start` to `end` of a file."""

    file: str
    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Finding:
    rule: str
    place: Place
    says: str
    """What stands there."""
    truth: str
    """What is true instead; empty where nothing else is, such as for a missing file."""
    origin: str = ""
    """Where the truth comes from: `config.yml:44:18`, `gpulockctl status --help`."""
    hint: str = ""
    edit: Edit | None = None

    @property
    def message(self) -> str:
        truth = f", but {self.truth}" if self.truth else ""
        origin = f" ({self.origin})" if self.origin else ""
        return f"{self.says}{truth}{origin}"
