"""The forms of the answers, for programs that read them: `gpulockctl`, monitors, tests.

Times are seconds that have passed or are left, never moments: no two clocks need to agree. A field may be
added within a `schema_version`; none disappears or changes its meaning. Not imported by `gpulock` itself.
"""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

SCHEMA_VERSION = 1


class GrantedGpu(TypedDict):
    index: int
    uuid: str
    name: str
    memory_total: int


class Grant(TypedDict):
    """Answer of `acquire`, and each of `hello`'s `locks`."""

    lock: str
    token: int
    gpus: list[GrantedGpu]
    env: dict[str, str]
    max_hold: float | None
    """Seconds left until the longest hold ends; None: no end."""
    nested: bool
    """It is a lock that the caller already ran under; its release changes nothing for the holder."""


class RetryView(TypedDict):
    """How a client should look for a daemon that is away, after the first moments."""

    poll_interval: float
    max_poll_interval: float
    exponential_backoff: bool


class HelloAnswer(TypedDict):
    version: int
    daemon: str
    host: str
    session: int
    reattach: str
    reattach_grace: float
    """Seconds within which the key is good after the daemon has gone."""
    retry: RetryView
    limits: dict[str, float]
    """`max_wait_time` is the wait of an `acquire` that names none."""
    quiet: list[str]
    """The methods that may be sent as notifications: nothing is answered then, unless they fail."""
    restart_safe: bool
    """Whether the connection outlives the daemon; it does under systemd, while its store has room."""
    locks: list[Grant]
    """What the session holds now, by reattaching."""


class OwnerView(TypedDict):
    pid: int
    uid: int
    user: str
    command: str
    container: str


class ProcessView(TypedDict):
    pid: int
    memory: int | None
    user: str
    command: str
    container: str
    relation: Literal["holder", "tenant", "foreign", "culprit"]
    """`holder`: of the lock on that GPU; `culprit`: keeps it in quarantine; `foreign`: has no lock on it."""
    tie: Literal["", "process", "descent", "session", "group", "cgroup", "unknown"]
    """By which rule a culprit belongs to the last holder: it is that process, descends from it, is in the session or
    the group that it led, or in the control group that it had for itself; `unknown`: nobody could look. Empty for
    others."""


class RecallView(TypedDict):
    reason: str
    by: str
    note: str
    time_left: float
    """Until the next, harder step."""
    obstacle: str


class LockView(TypedDict):
    id: str
    token: int
    gpus: list[str]
    owner: OwnerView
    task: str
    profile: str
    labels: dict[str, str]
    priority: int
    state: Literal["held", "recalled", "terminating", "killing"]
    waited: float
    held_for: float
    time_left: float | None
    connected: bool
    """False: its connection went with an earlier daemon, and its owner has not come back yet."""
    recall: RecallView | None
    level: Literal["", "warning", "soft"]
    """How far its age has brought it: `soft` was asked to finish."""
    stalled: bool
    """Its task has beaten, and then fallen silent."""
    progress: float | None
    note: str
    beat_age: float | None


class RequestView(TypedDict):
    id: str
    position: int
    """1 is next in order. Others may be granted first if they need other GPUs."""
    count: int
    selectors: list[str]
    owner: OwnerView
    task: str
    priority: int
    waited: float
    time_left: float | None
    overtaken: int


class QuarantineView(TypedDict):
    since: float
    lock: str
    holder: OwnerView
    reason: str
    awaited: bool
    """Whether its holder has neither let go nor is known to be dead."""
    culprits: list[ProcessView]


class LeaseHolderView(TypedDict):
    host: str
    pid: int


class GpuView(TypedDict):
    index: int
    uuid: str
    name: str
    parent: str | None
    memory_total: int
    memory_used: int | None
    utilization: float | None
    state: Literal["free", "held", "quarantined"]
    lock: str | None
    blocked: list[str]
    """Why it would not be granted though it is free: drained, sick, leased elsewhere, no lease."""
    drained: str | None
    fault: str | None
    elsewhere: LeaseHolderView | None
    clear_by: Literal["driver", "holder"]
    """By whose word a GPU leaves quarantine: the driver's, that nothing of the last holder is on it; or, where the
    driver cannot tell, that the last holder has let go or is dead."""
    quarantine: QuarantineView | None
    processes: list[ProcessView] | None


class LeaseView(TypedDict):
    kind: str
    state: Literal["claiming", "held", "late", "degraded"]
    """`late`: not renewed for 0.4 of its TTL; `degraded`: nothing new is granted, see `why`."""
    ttl: float | None
    age: float | None
    """Since the last good renewal was sent."""
    why: str
    fault: str
    """Why the last claim or renewal failed, in one word such as `timeout`; empty: it was answered."""
    failures: dict[str, int]
    """How many claims and renewals have failed since the daemon started, by that word."""


class DaemonView(TypedDict):
    pid: int
    version: str
    uptime: float
    simulated: bool
    driver: str
    socket: str
    sessions: int
    journal: str
    """`ok`, or what is wrong with it."""
    monitor: Literal["active", "reports", "off"]
    """Whether locks that last too long are taken back, only reported, or not even watched."""


class StatusDocument(TypedDict):
    schema_version: int
    host: str
    daemon: DaemonView
    lease: LeaseView
    gpus: list[GpuView]
    locks: list[LockView]
    queue: list[RequestView]
    fleet: NotRequired[list[HostView]]


class HostView(TypedDict):
    """One host as it last reported itself."""

    host: str
    pid: int
    version: str
    simulated: bool
    age: float
    gpus: list[HostGpuView]
    waiting: int


class HostGpuView(TypedDict):
    index: int
    uuid: str
    name: str
    state: str
    blocked: list[str]
    holder: OwnerView | None
    task: str
    held_for: float | None


class QueueDocument(TypedDict):
    schema_version: int
    queue: list[RequestView]


class WhyDocument(TypedDict):
    """Answer of `why`: for a request, a GPU or a pid, in sentences, what stands in the way."""

    schema_version: int
    subject: str
    kind: Literal["request", "gpu", "lock"]
    reasons: list[str]
    next: list[str]
    """Commands worth typing."""


class DescribeDocument(TypedDict):
    """Answer of `describe`: exactly one of the three is there."""

    schema_version: int
    subject: str
    gpu: NotRequired[GpuView]
    lock: NotRequired[LockView]
    request: NotRequired[RequestView]


class EndedView(TypedDict):
    lock: str
    token: int
    gpus: list[str]
    user: str
    uid: int
    pid: int
    command: str
    task: str
    waited: float
    held: float
    granted_at: float
    """Wall clock, seconds since 1970, for people."""
    ended_at: float
    how: str
    by: str
    profile: str
    container: str
    watched: float
    """Seconds of its GPUs for which the driver told their load, added up over them: what `idle` is a part of."""
    idle: float
    """Those of them in which a GPU did nothing."""
    peak_memory: int | None
    """The most bytes that were seen in use on its GPUs, together; None: nobody looked while it was held."""
    strangers: list[StrangerView]


class StrangerView(TypedDict):
    """A process that was met on a lock's GPU without having a lock."""

    pid: int
    user: str
    command: str


class UnmetView(TypedDict):
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
    """Wall clock, seconds since 1970, for people."""
    how: str
    """`timeout`, `cancelled`, `withdrawn` (its client went), `deadlock`, `busy` or `refused`."""
    times: int


class TotalView(TypedDict):
    """All of one user's locks and requests for one task, as far as history goes back."""

    user: str
    task: str
    locks: int
    held: float
    gpu_time: float
    """Like `held`, a lock on several GPUs counting as often."""
    waited: float
    """By the requests that were granted."""
    watched: float
    idle: float
    peak_memory: int | None
    lost: int
    """Locks that ended against the will of their holders."""
    unmet: int
    """Requests that ended without a lock, however."""
    timeouts: int
    """Those of them that waited in vain."""


class HistoryDocument(TypedDict):
    schema_version: int
    locks: list[EndedView]
    requests: NotRequired[list[UnmetView]]
    totals: NotRequired[list[TotalView]]


class EventView(TypedDict):
    """Parameters of an `event` notification."""

    kind: str
    message: str
    severity: str
    at: float
    """Wall clock, seconds since 1970, for people."""
    data: dict[str, object]
