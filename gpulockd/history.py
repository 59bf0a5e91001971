"""The past, as the journal tells it: locks that ended, requests that got none, and totals of both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Stranger:
    """A process that was met on a lock's GPU without having a lock."""

    pid: int
    user: str
    command: str


@dataclass(frozen=True, slots=True)
class Ended:
    """A lock of the past. `granted_at` and `ended_at` are wall-clock seconds, for people."""

    lock: str
    token: int
    gpus: tuple[str, ...]
    user: str
    uid: int
    pid: int
    command: str
    task: str
    waited: float
    held: float
    granted_at: float
    ended_at: float
    how: str
    by: str
    profile: str = ""
    container: str = ""
    watched: float = 0.0
    """Seconds of its GPUs for which the driver told their load, added up over them."""
    idle: float = 0.0
    """Those of them in which a GPU did nothing."""
    peak_memory: int | None = None
    """The most bytes that were seen in use on its GPUs, together; None: nobody looked while it was held."""
    strangers: tuple[Stranger, ...] = ()


@dataclass(frozen=True, slots=True)
class Unmet:
    """A request that ended without a lock, or `times` alike, none of which waited, and this is the last of them."""

    request: str
    user: str
    uid: int
    pid: int
    command: str
    container: str
    task: str
    profile: str
    wanted: int
    """GPUs."""
    waited: float
    ended_at: float
    """Wall-clock seconds, for people."""
    how: str
    times: int


@dataclass(frozen=True, slots=True)
class Sought:
    """Which part of the past is asked for: all that is given must be true of a lock or request."""

    gpu: str | None = None
    """A UUID. No request that ended without a lock has one."""
    user: str | None = None
    task: str | None = None
    how: str | None = None
    since: float | None = None
    """Ended at this moment of the wall clock or later."""
    until: float | None = None
    """Ended before this moment."""


@dataclass(slots=True)
class Total:
    """All of one user's locks and requests for one task, as far as history goes back. Times are seconds."""

    user: str
    task: str
    locks: int = 0
    held: float = 0.0
    gpu_time: float = 0.0
    """Like `held`, a lock on several GPUs counting as often."""
    waited: float = 0.0
    """By the requests that were granted."""
    watched: float = 0.0
    idle: float = 0.0
    peak_memory: int | None = None
    lost: int = 0
    """Locks that ended against the will of their holders."""
    unmet: int = 0
    """Requests that ended without a lock, however."""
    timeouts: int = 0
    """Those of them that waited in vain."""


ALL = Sought()
WITH_ITS_HOLDER = ("released", "disconnected", "died")
"""The ends of a lock that nobody but its holder had a hand in."""


class History(Protocol):
    """What the journal knows of the past. All methods raise `Unavailable`, may be called in any thread, and keep no
    commit waiting."""

    def history(self, limit: int, sought: Sought = ALL) -> list[Ended]:
        """Locks that have ended, the latest first."""
        ...

    def unmet(self, limit: int, sought: Sought = ALL) -> list[Unmet]:
        """Requests that ended without a lock, the latest first."""
        ...

    def totals(self, sought: Sought = ALL) -> list[Total]:
        """By user and task, whoever had the GPUs for longest first."""
        ...
