"""Every setting of the daemon, with its default: one frozen section per consumer.

A section knows its own keys only; what must hold between keys is in `rules`. All times are seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from .values import (
    AbsolutePath,
    Accounts,
    Count,
    Namespace,
    OptionalPath,
    OwnSeconds,
    Port,
    PositiveCount,
    PositiveSeconds,
    ProfileName,
    RedisUrl,
    Seconds,
    SecondsOrForever,
    Share,
    SocketPath,
    Text,
)


def _empty_section(value: Any) -> Any:
    """A section whose every line is commented out is null in YAML: it says nothing, so defaults hold."""
    return {} if value is None else value


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class GpuLock(Section):
    """How long requests wait and locks last, who goes first, how a lease of another host is awaited."""

    max_wait_time: SecondsOrForever = 1800.0
    """The wait of a request that names none."""
    lock_timeout: SecondsOrForever = 3600.0
    """The longest hold of a lock that names none."""
    priority_head_start: Seconds = 300.0
    """How much earlier a request counts as having come, for each step of priority."""
    max_overtakes: Count = 16
    """How often smaller requests may be granted before a larger one that could have used their GPUs."""
    poll_interval: Annotated[PositiveSeconds, Field(ge=0.05)] = 2.0
    """Between two claims of a lease that another host has, and two looks of a client for a daemon that is away."""
    exponential_backoff: bool = True
    """Whether that pause doubles each time, up to `max_poll_interval`."""
    max_poll_interval: PositiveSeconds = 10.0
    use_event_driven: bool = True
    """Whether a freed lease is heard of by a Redis notification, and polled for only as the fallback."""
    fallback_timeout: PositiveSeconds = 30.0
    """How long to trust in notifications before polling."""


class TimeoutLevels(Section):
    """How a lock that lasts long is treated, by its age."""

    warning: SecondsOrForever = 1800.0
    soft_timeout: SecondsOrForever = 3600.0
    hard_timeout: SecondsOrForever = 7200.0
    """No lock lasts longer, whatever was asked for."""


class Heartbeat(Section):
    """How a task shows that it gets on."""

    interval: PositiveSeconds = 60.0
    timeout: PositiveSeconds = 300.0


class GpuLockMonitor(Section):
    """What is watched, and what is done about locks that last too long."""

    enabled: bool = True
    auto_recovery: bool = True
    """Whether an overdue lock is taken back, or only reported."""
    monitor_interval: PositiveSeconds = 30.0
    """Between two looks at every GPU."""
    timeout_levels: Annotated[TimeoutLevels, BeforeValidator(_empty_section)] = TimeoutLevels()
    heartbeat: Annotated[Heartbeat, BeforeValidator(_empty_section)] = Heartbeat()


class Redis(Section):
    """The leases of this host's GPUs, where several hosts share a Redis."""

    url: RedisUrl = ""
    """Empty: no Redis; the lease is a kernel lock on the state directory."""
    password_file: OptionalPath = ""
    """A file whose content is the password, for those who keep it out of `url`."""
    namespace: Namespace = "gpulockd"
    """Begins every key; hosts that compete for GPUs must agree on it."""
    ttl: Annotated[PositiveSeconds, Field(ge=5)] = 15.0
    """How long a lease outlives its last renewal. Every other time of the lease follows from it."""
    operation_timeout: PositiveSeconds = 1.0
    on_loss: Literal["keep", "revoke"] = "keep"
    """Whether holders keep their GPUs when the lease cannot be renewed."""


class Daemon(Section):
    """The process itself: where it lives, whom it obeys, what it bears."""

    socket: SocketPath = Path("/run/gpulockd/gpulockd.sock")
    state_dir: AbsolutePath = Path("/var/lib/gpulockd")
    host: str = ""
    """The name of this host in the fleet. Empty: the system's."""
    admins: Accounts = ()
    reattach_grace: Seconds = 60.0
    """How long a lock whose connection went with an earlier daemon is kept for its owner."""
    revoke_grace: Seconds = 10.0
    """Between telling a holder that it loses its lock, and SIGTERM."""
    kill_grace: Seconds = 5.0
    """Between SIGTERM and SIGKILL."""
    max_sessions: PositiveCount = 4096
    max_sessions_per_user: PositiveCount = 2048
    max_requests_per_session: PositiveCount = 1024
    max_requests_per_user: PositiveCount = 4096
    max_locks_per_user: PositiveCount = 1024
    max_buffered_mib_per_user: PositiveCount = 64
    """MiB that are kept for all connections of one user together: frames cut in two, and what they do not read."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"


class Inventory(Section):
    """The GPUs of this host, and what is done about processes that stay on them."""

    simulate: Annotated[Count, Field(le=1024)] = 0
    """So many simulated GPUs in place of the real ones; 0: the real ones."""
    nvml_timeout: PositiveSeconds = 2.0
    """How long a call of the driver may take before its GPU counts as sick."""
    quarantine_recheck: PositiveSeconds = 1.0
    """Between two looks at a GPU that its last holder has not left."""
    orphans: Literal["wait", "kill"] = "wait"
    """Whether what a dead holder left on its GPU is waited for, or ended."""
    foreign: Literal["report", "wait"] = "report"
    """Whether a GPU that a process uses without ever having had a lock on it is granted all the same, or kept back."""


class Http(Section):
    """Health, status and metrics for people and scrapers: read-only."""

    host: Text = "127.0.0.1"
    port: Port = 8788
    """0: off."""


class History(Section):
    """What is kept of locks that ended, and of requests that ended without one."""

    max_age: SecondsOrForever = 30 * 86400.0
    max_rows: PositiveCount = 100_000
    """So many of each."""


class Canary(Section):
    """What the candidate of a canary may do before the daemon takes it back by itself. Shares are from 0 to 1."""

    max_timeouts: Share = 0.05
    """Of its requests."""
    max_failures: Share = 0.1
    """Of its requests, those that time out among them."""
    max_redis_cpu: Share = 0.8
    """Of one processor, by Redis's own figures."""
    min_requests: PositiveCount = 50
    """Before so many of its requests have come to an end, nothing is judged."""


class ProfileLevels(Section):
    warning: OwnSeconds = None
    soft_timeout: OwnSeconds = None
    hard_timeout: OwnSeconds = None


class Profile(Section):
    """What holds for one kind of task in place of the general settings; see `keys.FALLBACKS`."""

    max_wait_time: OwnSeconds = None
    max_hold: OwnSeconds = None
    timeout_levels: Annotated[ProfileLevels, BeforeValidator(_empty_section)] = ProfileLevels()


class Config(Section):
    """All of it. Made by `load`, which checks `rules` too."""

    gpu_lock: Annotated[GpuLock, BeforeValidator(_empty_section)] = GpuLock()
    gpu_lock_monitor: Annotated[GpuLockMonitor, BeforeValidator(_empty_section)] = GpuLockMonitor()
    redis: Annotated[Redis, BeforeValidator(_empty_section)] = Redis()
    daemon: Annotated[Daemon, BeforeValidator(_empty_section)] = Daemon()
    inventory: Annotated[Inventory, BeforeValidator(_empty_section)] = Inventory()
    http: Annotated[Http, BeforeValidator(_empty_section)] = Http()
    history: Annotated[History, BeforeValidator(_empty_section)] = History()
    canary: Annotated[Canary, BeforeValidator(_empty_section)] = Canary()
    profiles: Annotated[
        Mapping[ProfileName, Annotated[Profile, BeforeValidator(_empty_section)]], BeforeValidator(_empty_section)
    ] = {}
    """By their names, which requests give."""
