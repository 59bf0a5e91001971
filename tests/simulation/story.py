"""What happened, line by line, for people to read and for two runs to be compared by."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Line:
    at: float
    who: str
    what: str

    def __str__(self) -> str:
        return f"{self.at:12.6f}  {self.who:<10} {self.what}"


@dataclass(slots=True)
class Story:
    """Everything in it must follow from the seed alone: no address, no set in its own order."""

    lines: list[Line] = field(default_factory=list)

    def tell(self, at: float, who: str, what: str) -> None:
        self.lines.append(Line(at, who, what))

    def digest(self) -> str:
        """Equal for equal stories, whatever the machine."""
        text = "\n".join(f"{line.at!r} {line.who} {line.what}" for line in self.lines)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def end(self, lines: int) -> str:
        """The last so many lines."""
        left_out = len(self.lines) - lines
        head = [f"... {left_out} lines before"] if left_out > 0 else []
        return "\n".join([*head, *map(str, self.lines[-lines:])])
