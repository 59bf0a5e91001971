"""Everything that can be read over HTTP, one row each: its path, what it answers, and who makes that."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from gpulock.documents import StatusDocument

from . import monitoring
from .answers import (
    AllHeartbeats,
    LockHealth,
    LockStatus,
    MonitorConfig,
    MonitorHealth,
    MonitoringHealth,
    MonitoringStatistics,
    MonitorStatus,
    TaskHeartbeat,
    TimeoutStatus,
)
from .health import Health, health_of
from .monitoring import Knowledge

PREFIX = "/api/v1/monitoring"


class Parameter(NamedTuple):
    name: str
    meaning: str
    default: str | None = None
    """None: it is a part of the path."""


class Route(NamedTuple):
    path: str
    form: Any
    """The `TypedDict` of its answer."""
    answer: Callable[..., Any]
    """Of a `Knowledge`, and of the parameter where it has one."""
    meaning: str
    parameter: Parameter | None = None
    is_health: bool = False
    """Whether it answers 503 when the daemon could not grant."""


def _status(known: Knowledge) -> StatusDocument:
    return known.status


def _health(known: Knowledge) -> Health:
    return health_of(known.status)


ROUTES = (
    Route("/health", Health, _health, "whether a GPU could be granted, now or when its holder is done", is_health=True),
    Route("/api/v1/status", StatusDocument, _status, "the document behind `gpulockctl status --json`"),
    Route(
        f"{PREFIX}/gpu-lock/health",
        LockHealth,
        monitoring.lock_health,
        "the locks of this host in few figures",
        is_health=True,
    ),
    Route(
        f"{PREFIX}/gpu-lock/status",
        LockStatus,
        monitoring.lock_status,
        "one GPU: its holder, and who had it before",
        Parameter("lock_key", "the GPU: its index, its UUID, the beginning of that, or `gpu_lock:INDEX`", "gpu_lock:0"),
    ),
    Route(f"{PREFIX}/monitor/status", MonitorStatus, monitoring.monitor_status, "what watches over the locks"),
    Route(
        f"{PREFIX}/monitor/health",
        MonitorHealth,
        monitoring.monitor_health,
        "what is wrong, in sentences",
        is_health=True,
    ),
    Route(f"{PREFIX}/heartbeat/all", AllHeartbeats, monitoring.all_heartbeats, "every task, and whether it gets on"),
    Route(
        f"{PREFIX}/heartbeat/task/{{id}}",
        TaskHeartbeat,
        monitoring.task_heartbeat,
        "one task",
        Parameter("id", "the task: its lock's id, its name (the latest of that name), or `pid:N`"),
    ),
    Route(
        f"{PREFIX}/timeout/status",
        TimeoutStatus,
        monitoring.timeout_status,
        "which locks lasted too long, and what was done about them",
    ),
    Route(
        f"{PREFIX}/timeout/config",
        MonitorConfig,
        monitoring.timeout_config,
        "from which age on a lock is warned of, asked to finish, taken back",
    ),
    Route(f"{PREFIX}/statistics", MonitoringStatistics, monitoring.statistics, "all that is counted, in one answer"),
    Route(
        f"{PREFIX}/health",
        MonitoringHealth,
        monitoring.monitoring_health,
        "whether all is well",
        is_health=True,
    ),
)
PAGE = "/"
PAGE_FILE = "/page/{file}"
BOARD = "/api/v1/board"
METRICS = "/metrics"
OPENAPI = "/api/v1/openapi.json"


def paths() -> Mapping[str, str]:
    """Every path, and what it answers."""
    return {
        **{route.path: route.meaning for route in ROUTES},
        BOARD: "what the status page shows, as server-sent events for as long as it is read",
        PAGE: "the status page, for browsers",
        PAGE_FILE: "what that page is made of",
        METRICS: "the daemon in figures, for Prometheus",
        OPENAPI: "the description of all of these, as OpenAPI",
    }
