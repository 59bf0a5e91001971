"""What is kept of the latest canary, on the disk and in a Redis that hosts share: enough to go on after a kill."""

from __future__ import annotations

import dataclasses
import json
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..core.canary import VARIANTS, Course, Outcomes, Thresholds
from ..ports import Author
from ..wholefile import write
from .entries import digest_of
from .versions import DIRECTORY

FILE = "canary.json"

log = logging.getLogger(__name__)


def _none_yet() -> dict[str, Outcomes]:
    return {variant: Outcomes() for variant in VARIANTS}


@dataclass(frozen=True, slots=True)
class Record:
    id: str
    content: str
    """The candidate: a whole file."""
    base: str
    """Digest of the file that it is to replace."""
    percent: float
    author: Author
    reason: str
    at: float
    """Wall clock of the last change, for people."""
    course: Course = Course.RUNNING
    why: str = ""
    """Why it ended."""
    ends_at: float = math.inf
    """On the clock of this boot."""
    left: float = math.inf
    """Seconds until then, when this was written: what counts after another boot."""
    boot_id: str = ""
    revision: int = 0
    """Of what the hosts share; grows with every change."""
    pending: bool = False
    """Whether the other hosts are still to be told."""
    outcomes: Mapping[str, Outcomes] = field(default_factory=_none_yet)
    """By variant; of this host."""

    @property
    def digest(self) -> str:
        """Of the candidate."""
        return digest_of(self.content.encode())

    def resumed(self, now: float, boot_id: str) -> Record:
        """As it is on the clock of this boot."""
        ends_at = self.ends_at if boot_id == self.boot_id else now + self.left
        return dataclasses.replace(self, ends_at=ends_at, boot_id=boot_id)

    def shared(self, now: float) -> bytes:
        """What every host needs to know of it. A deadline is what is left of it."""
        plain = _plain(dataclasses.replace(self, left=self.ends_at - now))
        own = ("ends_at", "boot_id", "revision", "pending", "outcomes")
        return json.dumps({name: value for name, value in plain.items() if name not in own}).encode()


def from_shared(document: bytes, revision: int, left: float, now: float, boot_id: str) -> Record:
    """What another host wrote; `left` are the seconds that it lasts. Raises `ValueError`."""
    record = _read({**json.loads(document), "left": None if math.isinf(left) else left})
    return dataclasses.replace(record, revision=revision, ends_at=now + left, boot_id=boot_id)


def canary_view(
    record: Record, outcomes: Mapping[str, Outcomes], thresholds: Thresholds, now: float, *, shared: bool
) -> Mapping[str, object]:
    """A `gpulock.configuration.CanaryView`."""
    left = record.ends_at - now
    running = record.course is Course.RUNNING
    author = record.author
    return {
        "id": record.id,
        "course": record.course.value,
        "percent": record.percent,
        "time_left": max(0.0, left) if running and not math.isinf(left) else None,
        "by": author.user or f"uid {author.uid}",
        "reason": record.reason,
        "at": record.at,
        "why": record.why,
        "outcomes": {variant: dataclasses.asdict(counts) for variant, counts in outcomes.items()},
        "thresholds": dataclasses.asdict(thresholds),
        "shared": shared,
    }


class CanaryFile:
    """Reads and writes it. Every method may wait for the disk."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / DIRECTORY / FILE

    def read(self) -> Record | None:
        """The latest canary; None where there was none, or where its record cannot be read."""
        try:
            return _read(json.loads(self._path.read_bytes()))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            log.error("the record of the canary, %s, cannot be read: no canary runs (%s)", self._path, error)
            return None

    def write(self, record: Record) -> None:
        """Raises `OSError`; then the record before it stands."""
        write(self._path, json.dumps(_plain(record)).encode())


def _plain(record: Record) -> dict[str, Any]:
    plain = dataclasses.asdict(record)
    for name in ("ends_at", "left"):
        plain[name] = None if math.isinf(plain[name]) else plain[name]
    return plain


def _read(plain: Any) -> Record:
    """Raises `ValueError`. Fields of a later version are passed over."""
    try:
        known = {each.name: plain[each.name] for each in dataclasses.fields(Record) if each.name in plain}
        for name in ("ends_at", "left"):
            known[name] = math.inf if known.get(name) is None else known[name]
        known |= {"author": Author(**plain["author"]), "course": Course(plain["course"])}
        if "outcomes" in known:
            known["outcomes"] = {variant: Outcomes(**counts) for variant, counts in plain["outcomes"].items()}
        return Record(**known)
    except (KeyError, TypeError) as error:
        raise ValueError(f"not the record of a canary: {error!r}") from error
