"""What the core is told of the configuration. All of it is replaced at once, by `SettingsChanged`."""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from . import canary


class Level(enum.Enum):
    """How far a lock has come on the way to being taken back for its age."""

    NONE = ""
    WARNED = "warning"
    SOFT = "soft"
    """Its task was asked to finish."""


@dataclass(frozen=True, slots=True)
class Levels:
    """Ages of a lock, in seconds."""

    warning: float = 1800.0
    soft: float = 3600.0
    hard: float = 7200.0
    """No lock lasts longer, whatever was asked for."""

    def at(self, age: float) -> Level:
        if age >= self.soft:
            return Level.SOFT
        return Level.WARNED if age >= self.warning else Level.NONE

    def after(self, level: Level) -> float:
        """The age at which the next level is reached; infinite after the last."""
        match level:
            case Level.NONE:
                return min(self.warning, self.soft)
            case Level.WARNED:
                return self.soft
            case Level.SOFT:
                return math.inf


@dataclass(frozen=True, slots=True)
class Settings:
    """What the core needs to know of the configuration. Seconds throughout."""

    host: str = "localhost"
    max_wait_time: float = 1800.0
    lock_timeout: float = 3600.0
    levels: Levels = Levels()
    beat_timeout: float = 300.0
    """How long a task that has beaten may be silent."""
    take_back: bool = True
    """Whether a lock past its longest hold, or whose task is silent past its soft timeout, is taken back, or only
    reported."""
    priority_head_start: float = 300.0
    max_overtakes: int = 16
    revoke_grace: float = 10.0
    kill_grace: float = 5.0
    reattach_grace: float = 60.0
    quarantine_recheck: float = 1.0
    kill_orphans: bool = False
    """Whether what a dead holder left on a GPU is ended, or waited for."""
    foreign_waits: bool = False
    """Whether a GPU that a process uses without ever having had a lock on it is kept back, or granted all the same."""
    max_requests_per_session: int = 1024
    max_requests_per_user: int = 4096
    max_locks_per_user: int = 1024
    lease_ttl: float = math.inf
    """Infinite where the lease is a kernel lock on this host."""
    on_loss_revoke: bool = False
    poll_interval: float = 2.0
    max_poll_interval: float = 10.0
    exponential_backoff: bool = True
    use_event_driven: bool = True
    fallback_timeout: float = 30.0
    profiles: Mapping[str, Settings] = field(default_factory=dict)
    """All of this as it holds for requests that name a profile."""

    trial: Trial | None = None
    """What a share of the sessions has instead."""

    def under(self, profile: str) -> Settings:
        """For a request or lock of that profile. A lock may have one that was removed from the configuration since."""
        return self.profiles.get(profile, self) if profile else self


@dataclass(frozen=True, slots=True)
class Trial:
    """A canary, as far as requests are concerned."""

    id: str
    percent: float
    candidate: Settings

    def variant_of(self, key: str) -> str:
        """Of the session with this key."""
        return canary.variant_of(self.id, self.percent, key)
