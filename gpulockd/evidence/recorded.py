"""Recorded history as records to be compared: from a daemon's answers, or from what `history --json` wrote. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


class BadHistory(ValueError):
    """What is wrong with a document that should be history."""


@dataclass(frozen=True, slots=True)
class Record:
    """A request that ended: as a lock that was held, or in vain. Times are seconds, moments since 1970."""

    ended_at: float
    waited: float
    held: float | None
    """None: it waited in vain."""

    @property
    def asked_at(self) -> float:
        return self.ended_at - (self.held or 0.0) - self.waited


@dataclass(frozen=True, slots=True)
class Recorded:
    records: Sequence[Record]
    knows_timeouts: bool
    """Whether requests that waited in vain are recorded, too."""


def read(documents: Iterable[Mapping[str, Any]]) -> Recorded:
    """Of answers to `history`, each lock once. Raises `BadHistory`."""
    locks: dict[object, Record] = {}
    vain: dict[object, Record] = {}
    knows_timeouts = False
    for document in documents:
        try:
            for lock in document["locks"]:
                ended, waited, held = (float(lock[name]) for name in ("ended_at", "waited", "held"))
                locks[lock["token"]] = Record(ended, waited, held)
            knows_timeouts = knows_timeouts or "requests" in document
            for request in document.get("requests", ()):
                if request["how"] == "timeout":
                    vain[request["request"]] = Record(float(request["ended_at"]), float(request["waited"]), None)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BadHistory(f"this is not what `gpulockctl history --json` writes: {error!r}") from None
    return Recorded([*locks.values(), *vain.values()], knows_timeouts)
