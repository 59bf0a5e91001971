"""What there is: GPUs, locks, requests, owners, and the one `State` that holds them.

Everything here is plain data. Times are seconds on one monotonic clock that counts suspend, given from outside.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .settings import Level, Levels, Settings
from .value import value

COUNTER_BITS = 32
"""A fencing token is `epoch << 32 | counter`: a new epoch outranks every token of the epochs before it."""


@dataclass(frozen=True, slots=True)
class Process:
    """One process of this host, for ever: a reused pid has another start time or another boot."""

    pid: int
    start_time: int
    """Clock ticks after boot, field 22 of /proc/PID/stat; 0 where the process cannot be seen."""
    boot_id: str


@dataclass(frozen=True, slots=True)
class Owner:
    """Who is behind a session, as the kernel attests it."""

    process: Process
    uid: int
    gid: int
    user: str = ""
    command: str = ""
    container: str = ""
    admin: bool = False
    cgroup: str = ""
    """The control group it was in when it was first seen, as `HIERARCHY:PATH`; empty for the root."""


@dataclass(frozen=True, slots=True)
class GpuIdentity:
    """A GPU, or a MIG instance, as the driver describes it."""

    uuid: str
    index: int
    name: str
    memory_total: int
    """Bytes."""
    parent: str | None = None
    """The UUID of the card that a MIG instance is part of."""


class Tie(enum.StrEnum):
    """How it is known of a process that it belongs to a holder."""

    NONE = ""
    PROCESS = "process"
    """It is the holder."""
    DESCENT = "descent"
    SESSION = "session"
    """It is in the process session that the holder led."""
    GROUP = "group"
    """It is in the process group that the holder led."""
    CGROUP = "cgroup"
    """It came into the control group that the holder had for itself: a presumption, and nothing is ended for it."""
    UNKNOWN = "unknown"
    """No descriptor was left to look at it, so it may."""


@dataclass(frozen=True, slots=True)
class GpuProcess:
    """A process that the driver sees on a GPU."""

    pid: int
    memory: int | None
    """Bytes; None where the driver does not tell."""
    user: str = ""
    command: str = ""
    container: str = ""
    tie: Tie = Tie.NONE
    """To the GPU's last holder, of one that keeps it in quarantine."""
    start_time: int = 0
    """As in `Process`; 0 where nobody has looked, or it cannot be seen."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What the driver said of one GPU at one moment."""

    memory_used: int | None = None
    utilization: float | None = None
    """0 to 1."""
    processes: tuple[GpuProcess, ...] | None = None
    """None where the driver cannot tell."""
    kin: frozenset[int] = frozenset()
    """The pids among `processes` that belong to the GPU's present holder."""
    fault: str | None = None
    """Why the GPU cannot be used, in the driver's words; None for a healthy one."""


class GpuState(enum.StrEnum):
    FREE = "free"
    HELD = "held"
    QUARANTINED = "quarantined"


@dataclass(frozen=True, slots=True)
class Quarantine:
    """Why a GPU is nobody's yet."""

    since: float
    lock: str
    """The lock that left something behind."""
    holder: Owner
    reason: str
    culprits: tuple[GpuProcess, ...] = ()
    awaited: bool = False
    """Whether its holder may live and has not let go: where the driver cannot tell who is on the GPU, only the end of
    that very process makes it clear. No journal keeps this: a later daemon asks the kernel again."""


@dataclass(frozen=True, slots=True)
class LeaseHolder:
    """The daemon that has a GPU's lease."""

    host: str
    pid: int
    expires_in: float = math.inf
    """Seconds, when it was asked."""


@dataclass(slots=True)
class Gpu:
    identity: GpuIdentity
    state: GpuState = GpuState.FREE
    lock: str | None = None
    quarantine: Quarantine | None = None
    drained: str | None = None
    """The administrator's reason; None: not drained."""
    epoch: int | None = None
    """The lease's epoch; None: this daemon does not have the lease."""
    leased_at: float = -math.inf
    """When the last good claim or renewal of that lease was sent."""
    elsewhere: LeaseHolder | None = None
    """Who has the lease instead."""
    sample: Sample = Sample()
    tenants: dict[int, float] = field(default_factory=dict)
    """Pids on it that have had a lock on it, or may have had one of an earlier daemon, and since when: they may keep a
    context, and are no strangers."""
    tenants_written: bool = True
    """Whether the journal knows whom looks have added to them."""

    @property
    def uuid(self) -> str:
        return self.identity.uuid


@value
class Wish:
    """What a request asks for, with every default filled in."""

    count: int
    selectors: tuple[str, ...] = ()
    """Empty: any `count` GPUs. Otherwise exactly these, and `count` is their number."""
    wait_timeout: float = math.inf
    max_hold: float = math.inf
    priority: int = 0
    task: str = ""
    profile: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    within: str | None = None
    notify: frozenset[str] = frozenset()
    levels: Levels | None = None
    """Those of its lock, as they were when it asked; None: those that hold when it is granted."""
    default_hold: bool = False
    """Whether `max_hold` is the daemon's, filled in for a request that named none."""
    variant: str = ""
    """Which side of which canary its values are from: `ID/stable`, `ID/candidate`; empty: there is none."""


@dataclass(slots=True)
class Request:
    """A queued wish for a lock."""

    id: str
    session: int
    msgid: int
    owner: Owner
    wish: Wish
    candidates: frozenset[str]
    """UUIDs it could be granted from."""
    queued_at: float
    rank: tuple[float, int]
    """Its place: smaller goes first. See `queue.rank`."""
    overtaken: int = 0
    """How many later requests were granted a GPU that this one could have used."""
    told_position: int = 0
    """The position that its client last heard of; 0: none."""
    reattach: str | None = None
    """Digest of the key that proves it to be a session's own, after a restart."""
    recorded: bool = False
    """Whether the journal knows it: one that is granted at once never gets there."""


class LockState(enum.Enum):
    HELD = "held"
    RECALLED = "recalled"
    """Its holder was told that it loses the lock, and when."""
    TERMINATING = "terminating"
    """Its holder was sent SIGTERM."""
    KILLING = "killing"
    """Its holder was sent SIGKILL."""


@dataclass(frozen=True, slots=True)
class Recall:
    """Why, and at whose word, a lock is being taken back."""

    reason: str
    """`revoked`, `max-hold`, `stalled`, `lease-lost`."""
    by: str
    note: str
    since: float
    deadline: float
    """When the next, harder step is taken."""
    kill_grace: float
    """Seconds from SIGTERM to SIGKILL."""
    obstacle: str = ""
    """Why its holder could not be ended."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What the driver saw of a lock's GPUs while it was held. Each look speaks for the time since the one before."""

    seen_until: float
    """When it was last asked."""
    watched: float = 0.0
    """Seconds of its GPUs for which their load is known, added up over them."""
    idle: float = 0.0
    """Those of them in which a GPU did nothing."""
    peak_memory: int | None = None
    """The most bytes in use on its GPUs, together, at one look."""
    foreign: tuple[GpuProcess, ...] = ()
    """Processes that were met on them without ever having had a lock: the first few."""


@dataclass(slots=True)
class Lock:
    id: str
    token: int
    gpus: tuple[str, ...]
    owner: Owner
    session: int | None
    """None: its connection was lost with an earlier daemon; the owner may reattach. As the journal gives it back, it is
    that of the earlier daemon."""
    reattach: str | None
    """Digest of the key that proves a reattaching session."""
    wish: Wish
    queued_at: float
    granted_at: float
    ends_at: float
    """When its longest hold ends; may be infinite."""
    state: LockState = LockState.HELD
    recall: Recall | None = None
    levels: Levels = field(default_factory=Levels)
    level: Level = Level.NONE
    stalled: bool = False
    """Whether its task has beaten, and then fallen silent."""
    depth: int = 1
    """How many `acquire`s of its own session were answered by it."""
    beat_at: float | None = None
    progress: float | None = None
    note: str = ""
    usage: Usage | None = None
    """None: nobody has looked at its GPUs since it was granted."""


@dataclass(slots=True)
class Session:
    id: int
    owner: Owner
    client: str = ""
    reattach: str | None = None
    locks: set[str] = field(default_factory=set)
    requests: dict[int, str] = field(default_factory=dict)
    """Waiting requests by message id."""


class LeaseState(enum.Enum):
    CLAIMING = "claiming"
    """Not asked yet, or not answered."""
    HELD = "held"
    LATE = "late"
    """Not renewed for 0.4 of its TTL: a warning."""
    DEGRADED = "degraded"
    """Not renewed for 0.55 of its TTL, or lost: nothing that needs the lease is granted."""


@dataclass(slots=True)
class Lease:
    """The leases of this host's GPUs, which are claimed and renewed together."""

    state: LeaseState = LeaseState.CLAIMING
    renewed_at: float | None = None
    """When the last good claim or renewal of the oldest of them was sent."""
    why: str = ""
    """What keeps it from being held."""
    fault: str = ""
    """Why the last claim or renewal failed, in one word; empty: the store answered it."""
    failures: dict[str, int] = field(default_factory=dict)
    """How many claims and renewals have failed so far, by that word."""
    attempt: int = 0
    """The number of the last claim or renewal."""
    claiming: bool = False
    unanswered: int | None = None
    """The attempt of a claim that may or may not have been carried out: its repetition is the same attempt."""
    renewing: bool = False
    claim_delay: float = 0.0
    """Seconds between the last two claims of GPUs that another daemon has."""


@dataclass(slots=True)
class State:
    """Everything the daemon knows. `Machine` alone changes it."""

    settings: Settings
    gpus: dict[str, Gpu] = field(default_factory=dict)
    locks: dict[str, Lock] = field(default_factory=dict)
    requests: dict[str, Request] = field(default_factory=dict)
    absent: dict[str, Request] = field(default_factory=dict)
    """Requests of an earlier daemon whose clients have not come back yet; see `places`."""
    sessions: dict[int, Session] = field(default_factory=dict)
    lease: Lease = field(default_factory=Lease)
    all_gpus: frozenset[str] = frozenset()
    """The UUIDs of `gpus`: what a request for any GPU is a candidate for."""
    by_index: Mapping[int, Sequence[str]] = field(default_factory=dict)
    """The same by index, which a card and the MIG instances in it may share."""
    last_token: int = 0
    journal_fault: str | None = None
