"""The forms of the answers below `/api/v1/monitoring`.

Their fields have the names and types that monitors of earlier systems read, so that what was built on those goes on
here. Within a version of the path a field may be added; none disappears or changes its meaning. `timestamp` is the
wall clock in seconds since 1970, for people; durations are seconds.
"""

from __future__ import annotations

from typing import Literal, TypedDict

Condition = Literal["healthy", "warning", "critical"]
"""`critical`: nothing could be granted; `warning`: it could, but something is wrong."""


Progress = Literal["beating", "silent", "stalled", "unknown"]
"""`silent` has never beaten, `stalled` has, and then stopped; `unknown` holds no lock."""


class Failure(TypedDict):
    """What went wrong, and what to do."""

    message: str
    hint: str


class FailureAnswer(TypedDict):
    error: Failure


class LockHealth(TypedDict):
    """The locks of this host in few figures."""

    overall_status: Condition
    issues_count: int
    total_attempts: int
    """Requests that came to an end since the daemon started."""
    success_rate: float
    """The share of them that was granted, 0 to 1; 1 where there was none."""
    timeout_rate: float
    """The share that waited in vain."""
    average_execution_time: float
    """How long a lock was held, of those that ended."""
    recent_success_rate: float
    """`success_rate` of the last hour."""
    lock_holder: str | None
    """Whoever holds a GPU for longest now."""
    lock_age: float | None
    """For how long that one holds it."""
    timestamp: float


class Judgement(TypedDict):
    status: Condition
    issues: list[str]


class Statistics(TypedDict):
    """Of all GPUs of this host, since the daemon started."""

    total_attempts: int
    successful_acquisitions: int
    timeouts: int
    success_rate: float
    timeout_rate: float
    recent_success_rate: float
    average_wait_time: float
    average_execution_time: float


class PastLock(TypedDict):
    lock: str
    user: str
    pid: int
    task: str
    waited: float
    held: float
    ended_at: float
    """Wall clock."""
    how: str


class LockStatus(TypedDict):
    """One GPU."""

    lock_key: str
    """As it was asked for."""
    is_locked: bool
    lock_holder: str | None
    ttl_seconds: int | None
    """Until its longest hold ends; null: never, or it is not held."""
    lock_age: float | None
    lock_type: Literal["active", "quarantined", "free"]
    health: Judgement
    statistics: Statistics
    recent_history: list[PastLock]
    """Of this GPU, the latest first, as far as they are among the latest 200 of the host."""
    timestamp: float


class TimeoutLevels(TypedDict):
    """Ages of a lock; null: never."""

    warning: float | None
    soft_timeout: float | None
    hard_timeout: float | None


class Heartbeat(TypedDict):
    interval: float
    timeout: float


class MonitorConfig(TypedDict):
    """The section `gpu_lock_monitor` of the configuration."""

    enabled: bool
    auto_recovery: bool
    monitor_interval: float
    timeout_levels: TimeoutLevels
    heartbeat: Heartbeat


class MonitorState(TypedDict):
    enabled: bool
    auto_recovery: bool
    gpus: int
    sick: int
    quarantined: int


class MonitorStats(TypedDict):
    """Since the daemon started."""

    warnings: int
    soft_timeouts: int
    overdue: int
    stalled: int
    quarantines: int
    foreign_processes: int
    nvml_errors: int
    lost: dict[str, int]
    """Locks that were lost, by reason."""


class MonitorStatus(TypedDict):
    monitor_status: MonitorState
    monitor_stats: MonitorStats
    config: MonitorConfig
    is_running: bool
    """False: `gpu_lock_monitor.enabled` is false, and nothing is taken back for its age."""
    uptime: float


class MonitorMetrics(TypedDict):
    gpus: int
    held: int
    quarantined: int
    sick: int
    waiters: int
    oldest_waiter_age: float
    stalled_tasks: int


class MonitorHealth(TypedDict):
    status: Condition
    issues: list[str]
    metrics: MonitorMetrics
    timestamp: float


class BeatData(TypedDict):
    lock: str
    task: str
    user: str
    pid: int
    gpus: list[str]
    held_for: float
    progress: float | None
    note: str
    age: float | None
    """Since it last beat; null: it never has."""


class TaskHeartbeat(TypedDict):
    task_id: str
    """As it was asked for."""
    heartbeat_exists: bool
    is_registered: bool
    """Whether it holds a lock."""
    status: Progress
    heartbeat_data: BeatData | None
    last_update: float | None
    """Wall clock of the last beat."""
    is_running: bool


class HeartbeatStatistics(TypedDict):
    total_tasks: int
    beating: int
    silent: int
    stalled: int
    failure_rate: float
    """The share of those that have ever beaten which are stalled now."""


class AllHeartbeats(TypedDict):
    active_tasks: dict[str, BeatData]
    """By lock: those that beat, and those that never have."""
    dead_tasks: list[str]
    """The locks whose tasks have beaten and then stopped."""
    orphaned_tasks: list[str]
    """The locks whose connection went with an earlier daemon, and whose owner has not come back yet."""
    statistics: HeartbeatStatistics
    timestamp: float


class TimeoutStats(TypedDict):
    """Since the daemon started, but for `taking_back`."""

    warnings: int
    soft_timeouts: int
    overdue: int
    taken_back: int
    """Locks that were taken back, for whatever reason."""
    taking_back: int
    """Locks that are being taken back now."""


class TimeoutAction(TypedDict):
    level: Literal["warning", "soft_timeout", "hard_timeout"]
    after: float | None
    action: str


class TimeoutStatus(TypedDict):
    timeout_stats: TimeoutStats
    action_history: list[PastLock]
    """The latest locks that were taken back."""
    configured_actions: list[TimeoutAction]
    timestamp: float


class MonitoringStatistics(TypedDict):
    """All of the others in one."""

    timestamp: float
    gpu_lock: LockHealth
    monitor: MonitorStatus
    heartbeat: HeartbeatStatistics
    timeout: TimeoutStatus


class Components(TypedDict):
    monitor: MonitorHealth
    heartbeat: HeartbeatStatistics


class MonitoringHealth(TypedDict):
    status: Condition
    issues: list[str]
    components: Components
    timestamp: float
