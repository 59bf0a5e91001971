"""Who holds and who waits at present, by the diaries: what the director of the demonstration goes by."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from .diary import Entry, now


@dataclass(slots=True)
class Scene:
    holding: dict[str, Entry] = field(default_factory=dict)
    """Each holder's `got`."""
    waiting: set[str] = field(default_factory=set)
    grants: int = 0

    def follow(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            match entry.what:
                case "want":
                    self.waiting.add(entry.who)
                case "got":
                    self.waiting.discard(entry.who)
                    self.holding[entry.who] = entry
                    self.grants += 1
                case "refused":
                    self.waiting.discard(entry.who)
                case "leaving":
                    self.holding.pop(entry.who, None)
                case "kills":
                    self.waiting.discard(entry.facts["victim"])
                    self.holding.pop(entry.facts["victim"], None)

    def held_for(self, who: str) -> float:
        """Seconds for which `who` has held a GPU; 0: it does not."""
        got = self.holding.get(who)
        return 0.0 if got is None else now() - got.at

    def holders(self, at_most: float = float("inf")) -> int:
        """How many have held for at most so many seconds."""
        return sum(now() - got.at <= at_most for got in self.holding.values())
