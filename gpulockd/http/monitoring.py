"""The answers below `/api/v1/monitoring`: each a pure function of what the daemon knows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gpulock.documents import GpuView, LockView, StatusDocument

from ..history import Ended
from .answers import (
    AllHeartbeats,
    BeatData,
    HeartbeatStatistics,
    LockHealth,
    LockStatus,
    MonitorConfig,
    MonitorHealth,
    MonitoringHealth,
    MonitoringStatistics,
    MonitorStatus,
    PastLock,
    Progress,
    Statistics,
    TaskHeartbeat,
    TimeoutStatus,
)
from .health import judge, judge_gpu
from .tally import LOST, Tally

HISTORY = 5
"""So many locks of the past are told of."""
LOOKED_THROUGH = 200
"""They are looked for among so many of the latest: to look through all would keep the loop busy for milliseconds."""
LOCK_KEY = "gpu_lock:"
"""What the key of a lock began with where a GPU had no other name than its index."""

LatestEnded = Callable[[int], Sequence[Ended]]
"""The latest locks that ended, at most so many. May raise `Unavailable`."""


class NoSuchGpu(Exception):
    """No GPU, or more than one, is called that."""


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What the answers are made of."""

    status: StatusDocument
    tally: Tally
    history: LatestEnded
    config: MonitorConfig
    wall: float


def lock_health(known: Knowledge) -> LockHealth:
    """The locks of this host, in few figures."""
    oldest = max(known.status["locks"], key=lambda lock: lock["held_for"], default=None)
    condition, issues = judge(known.status)
    return {
        "overall_status": condition,
        "issues_count": len(issues),
        "total_attempts": known.tally.attempts,
        "success_rate": known.tally.success_rate,
        "timeout_rate": known.tally.timeout_rate,
        "average_execution_time": known.tally.holds.mean,
        "recent_success_rate": known.tally.recent_success_rate,
        "lock_holder": None if oldest is None else _holder(oldest),
        "lock_age": None if oldest is None else oldest["held_for"],
        "timestamp": known.wall,
    }


def lock_status(known: Knowledge, lock_key: str) -> LockStatus:
    """One GPU, by its index, its UUID, the beginning of that, or as `gpu_lock:INDEX`."""
    gpu = _gpu(known.status, lock_key)
    lock = next((lock for lock in known.status["locks"] if lock["id"] == gpu["lock"]), None)
    condition, issues = judge_gpu(known.status, gpu)
    left = None if lock is None else lock["time_left"]
    return {
        "lock_key": lock_key,
        "is_locked": lock is not None,
        "lock_holder": None if lock is None else _holder(lock),
        "ttl_seconds": None if left is None else math.ceil(left),
        "lock_age": None if lock is None else lock["held_for"],
        "lock_type": "active" if lock else "quarantined" if gpu["quarantine"] else "free",
        "health": {"status": condition, "issues": issues},
        "statistics": _statistics(known.tally),
        "recent_history": _latest(known, lambda ended: gpu["uuid"] in ended.gpus),
        "timestamp": known.wall,
    }


def monitor_status(known: Knowledge) -> MonitorStatus:
    """What watches over the locks, and what it has met."""
    tally, gpus = known.tally, known.status["gpus"]
    return {
        "monitor_status": {
            "enabled": known.config["enabled"],
            "auto_recovery": known.config["auto_recovery"],
            "gpus": len(gpus),
            "sick": _sick(gpus),
            "quarantined": _quarantined(gpus),
        },
        "monitor_stats": {
            "warnings": tally.levels["warning"],
            "soft_timeouts": tally.levels["soft"],
            "overdue": tally.levels["overdue"],
            "stalled": tally.stalls,
            "quarantines": tally.quarantines,
            "foreign_processes": tally.strangers,
            "nvml_errors": tally.nvml_errors,
            "lost": dict(tally.lost),
        },
        "config": known.config,
        "is_running": known.config["enabled"],
        "uptime": known.status["daemon"]["uptime"],
    }


def monitor_health(known: Knowledge) -> MonitorHealth:
    """What is wrong, in sentences. 503 where nothing could be granted."""
    status = known.status
    condition, issues = judge(status)
    return {
        "status": condition,
        "issues": issues,
        "metrics": {
            "gpus": len(status["gpus"]),
            "held": sum(gpu["state"] == "held" for gpu in status["gpus"]),
            "quarantined": _quarantined(status["gpus"]),
            "sick": _sick(status["gpus"]),
            "waiters": len(status["queue"]),
            "oldest_waiter_age": max((request["waited"] for request in status["queue"]), default=0.0),
            "stalled_tasks": sum(lock["stalled"] for lock in status["locks"]),
        },
        "timestamp": known.wall,
    }


def all_heartbeats(known: Knowledge) -> AllHeartbeats:
    """Every task that holds a lock, and whether it gets on."""
    locks = known.status["locks"]
    return {
        "active_tasks": {lock["id"]: _beat(lock) for lock in locks if not lock["stalled"]},
        "dead_tasks": [lock["id"] for lock in locks if lock["stalled"]],
        "orphaned_tasks": [lock["id"] for lock in locks if not lock["connected"]],
        "statistics": _heartbeat_statistics(locks),
        "timestamp": known.wall,
    }


def task_heartbeat(known: Knowledge, task_id: str) -> TaskHeartbeat:
    """One task, by its lock's id, its own name (the latest of that name), or `pid:N`."""
    lock = next((lock for lock in reversed(known.status["locks"]) if task_id in _names(lock)), None)
    age = None if lock is None else lock["beat_age"]
    return {
        "task_id": task_id,
        "heartbeat_exists": age is not None,
        "is_registered": lock is not None,
        "status": "unknown" if lock is None else _progress(lock),
        "heartbeat_data": None if lock is None else _beat(lock),
        "last_update": None if age is None else known.wall - age,
        "is_running": lock is not None,
    }


def timeout_config(known: Knowledge) -> MonitorConfig:
    """From which age on a lock is warned of, asked to finish, taken back."""
    return known.config


def timeout_status(known: Knowledge) -> TimeoutStatus:
    """Which locks lasted too long, and what was done about them."""
    tally, levels = known.tally, known.config["timeout_levels"]
    end = "is taken back" if known.config["enabled"] and known.config["auto_recovery"] else "is reported"
    return {
        "timeout_stats": {
            "warnings": tally.levels["warning"],
            "soft_timeouts": tally.levels["soft"],
            "overdue": tally.levels["overdue"],
            "taken_back": sum(tally.lost.values()),
            "taking_back": sum(lock["recall"] is not None for lock in known.status["locks"]),
        },
        "action_history": _latest(known, lambda ended: ended.how in LOST),
        "configured_actions": [
            {"level": "warning", "after": levels["warning"], "action": "its holder is told"},
            {
                "level": "soft_timeout",
                "after": levels["soft_timeout"],
                "action": f"its holder is asked to finish; one whose task is stalled {end}",
            },
            {"level": "hard_timeout", "after": levels["hard_timeout"], "action": f"it {end}"},
        ],
        "timestamp": known.wall,
    }


def statistics(known: Knowledge) -> MonitoringStatistics:
    """Everything that is counted, in one answer."""
    return {
        "timestamp": known.wall,
        "gpu_lock": lock_health(known),
        "monitor": monitor_status(known),
        "heartbeat": _heartbeat_statistics(known.status["locks"]),
        "timeout": timeout_status(known),
    }


def monitoring_health(known: Knowledge) -> MonitoringHealth:
    """Whether all is well. 503 where nothing could be granted."""
    monitor = monitor_health(known)
    return {
        "status": monitor["status"],
        "issues": monitor["issues"],
        "components": {"monitor": monitor, "heartbeat": _heartbeat_statistics(known.status["locks"])},
        "timestamp": known.wall,
    }


def _gpu(status: StatusDocument, lock_key: str) -> GpuView:
    name = lock_key.removeprefix(LOCK_KEY)
    for gpu in status["gpus"]:
        if name in (str(gpu["index"]), gpu["uuid"]):
            return gpu
    found = [gpu for gpu in status["gpus"] if name and gpu["uuid"].startswith(name)]
    if len(found) != 1:
        raise NoSuchGpu(f"{'more than one' if found else 'no'} GPU of this host is called {lock_key!r}")
    return found[0]


def _names(lock: LockView) -> set[str]:
    return {lock["id"], lock["task"], f"pid:{lock['owner']['pid']}"} - {""}


def _holder(lock: LockView) -> str:
    owner = lock["owner"]
    user = f"{owner['user'] or owner['uid']} (pid {owner['pid']})"
    return f"{lock['task']} of {user}" if lock["task"] else user


def _statistics(tally: Tally) -> Statistics:
    return {
        "total_attempts": tally.attempts,
        "successful_acquisitions": tally.outcomes["granted"],
        "timeouts": tally.outcomes["timeout"],
        "success_rate": tally.success_rate,
        "timeout_rate": tally.timeout_rate,
        "recent_success_rate": tally.recent_success_rate,
        "average_wait_time": tally.waits["granted"].mean,
        "average_execution_time": tally.holds.mean,
    }


def _latest(known: Knowledge, wanted: Callable[[Ended], bool]) -> list[PastLock]:
    return [_past(ended) for ended in known.history(LOOKED_THROUGH) if wanted(ended)][:HISTORY]


def _past(ended: Ended) -> PastLock:
    return {
        "lock": ended.lock,
        "user": ended.user,
        "pid": ended.pid,
        "task": ended.task,
        "waited": ended.waited,
        "held": ended.held,
        "ended_at": ended.ended_at,
        "how": ended.how,
    }


def _beat(lock: LockView) -> BeatData:
    return {
        "lock": lock["id"],
        "task": lock["task"],
        "user": lock["owner"]["user"],
        "pid": lock["owner"]["pid"],
        "gpus": lock["gpus"],
        "held_for": lock["held_for"],
        "progress": lock["progress"],
        "note": lock["note"],
        "age": lock["beat_age"],
    }


def _progress(lock: LockView) -> Progress:
    if lock["stalled"]:
        return "stalled"
    return "silent" if lock["beat_age"] is None else "beating"


def _heartbeat_statistics(locks: Sequence[LockView]) -> HeartbeatStatistics:
    stalled = sum(lock["stalled"] for lock in locks)
    beaten = sum(lock["beat_age"] is not None for lock in locks)
    return {
        "total_tasks": len(locks),
        "beating": beaten - stalled,
        "silent": len(locks) - beaten,
        "stalled": stalled,
        "failure_rate": stalled / beaten if beaten else 0.0,
    }


def _sick(gpus: Sequence[GpuView]) -> int:
    return sum(gpu["fault"] is not None for gpu in gpus)


def _quarantined(gpus: Sequence[GpuView]) -> int:
    return sum(gpu["state"] == "quarantined" for gpu in gpus)
