"""The answers that monitors of earlier systems read: their fields by name, and what they say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from gpulock.documents import StatusDocument
from gpulockd.core.actions import Announce
from gpulockd.history import Ended
from gpulockd.http import monitoring
from gpulockd.http.monitoring import Knowledge, NoSuchGpu
from gpulockd.http.server import UNWATCHED
from gpulockd.http.tally import Tally

from .documents import LEASE, OWNER, gpu, in_quarantine, lock, request, status

CONFIG = {**UNWATCHED, "enabled": True, "auto_recovery": True}
NOW = 1_800_000_000.0

FIELDS: Mapping[Callable[..., Any], str] = {
    monitoring.lock_health: "overall_status issues_count total_attempts success_rate timeout_rate "
    "average_execution_time recent_success_rate lock_holder lock_age timestamp",
    monitoring.lock_status: "lock_key is_locked lock_holder ttl_seconds lock_age lock_type health statistics "
    "recent_history timestamp",
    monitoring.monitor_status: "monitor_status monitor_stats config is_running uptime",
    monitoring.monitor_health: "status issues metrics timestamp",
    monitoring.all_heartbeats: "active_tasks dead_tasks orphaned_tasks statistics timestamp",
    monitoring.task_heartbeat: "task_id heartbeat_exists is_registered status heartbeat_data last_update is_running",
    monitoring.timeout_status: "timeout_stats action_history configured_actions timestamp",
    monitoring.timeout_config: "enabled auto_recovery monitor_interval timeout_levels heartbeat",
    monitoring.statistics: "timestamp gpu_lock monitor heartbeat timeout",
    monitoring.monitoring_health: "status issues components timestamp",
}


def ended(name: str, how: str) -> Ended:
    return Ended(
        lock=name,
        token=1,
        gpus=("GPU-0",),
        user="alice",
        uid=1000,
        pid=4711,
        command="python train.py",
        task="ocr",
        waited=1.0,
        held=60.0,
        granted_at=NOW - 160,
        ended_at=NOW - 100,
        how=how,
        by="",
    )


def known(document: StatusDocument | None = None, *happened: Announce, history: tuple[Ended, ...] = ()) -> Knowledge:
    tally = Tally()
    for announce in happened:
        tally.observe(announce)
    config: Any = CONFIG
    return Knowledge(document or status(gpu(0)), tally, lambda limit: history[:limit], config, NOW)


@pytest.mark.parametrize(("answer", "fields"), FIELDS.items(), ids=lambda each: getattr(each, "__name__", ""))
def test_the_fields_are_those_that_are_read(answer: Callable[..., Any], fields: str) -> None:
    asked = {monitoring.lock_status: ["gpu_lock:0"], monitoring.task_heartbeat: ["ocr"]}.get(answer, [])
    assert list(answer(known(), *asked)) == fields.split()


def test_the_health_of_the_locks() -> None:
    busy = status(gpu(0, state="held"), gpu(1, state="held"), locks=[lock("L1-1", held_for=5.0), lock("L1-2")])
    happened = [
        *(Announce("lock.granted", "", data={"waited": 1.0}) for _ in range(3)),
        Announce("request.timed-out", "", data={"waited": 9.0}),
        Announce("lock.ended", "", data={"how": "released", "held": 30.0}),
    ]
    assert monitoring.lock_health(known(busy, *happened)) == {
        "overall_status": "healthy",
        "issues_count": 0,
        "total_attempts": 4,
        "success_rate": 0.75,
        "timeout_rate": 0.25,
        "average_execution_time": 30.0,
        "recent_success_rate": 0.75,
        "lock_holder": "ocr of alice (pid 4711)",
        "lock_age": 90.0,
        "timestamp": NOW,
    }


@pytest.mark.parametrize(
    ("document", "condition", "issues"),
    [
        (status(gpu(0), gpu(1, drained="repair", blocked=["drained: repair"])), "healthy", []),
        (
            status(gpu(0), in_quarantine(1), locks=[lock("L1-7", stalled=True)], lease={**LEASE, "state": "late"}),
            "warning",
            [
                "GPU 1: in quarantine after L1-1: died",
                "the lease is late: ",
                "L1-7 is stalled: its task has fallen silent",
            ],
        ),
        (
            status(gpu(0), in_quarantine(1), journal="disk full"),
            "critical",
            ["the journal cannot be written: disk full"],
        ),
    ],
    ids=["healthy", "warning", "critical"],
)
def test_what_is_wrong(document: StatusDocument, condition: str, issues: list[str]) -> None:
    health = monitoring.monitor_health(known(document))
    assert (health["status"], health["issues"]) == (condition, issues)
    whole = monitoring.monitoring_health(known(document))
    assert (whole["status"], whole["issues"], whole["components"]["monitor"]) == (condition, issues, health)
    assert monitoring.lock_health(known(document))["issues_count"] == len(issues)


def test_one_gpu_that_is_held() -> None:
    document = status(gpu(0, state="held", lock="L1-9"), locks=[lock("L1-9", time_left=3510.2)])
    history = (replace(ended("L1-4", "released"), gpus=("GPU-1",)), ended("L1-3", "released"))
    answer = monitoring.lock_status(known(document, history=history), "gpu_lock:0")
    assert answer["is_locked"]
    assert answer["lock_type"] == "active"
    assert answer["lock_holder"] == "ocr of alice (pid 4711)"
    assert (answer["ttl_seconds"], answer["lock_age"]) == (3511, 90.0)
    (past,) = answer["recent_history"]
    assert (past["lock"], past["how"], past["held"]) == ("L1-3", "released", 60.0)
    assert answer["health"] == {"status": "healthy", "issues": []}


def test_one_gpu_that_nobody_holds() -> None:
    document = status(gpu(0), in_quarantine(1))
    free = monitoring.lock_status(known(document), "0")
    assert (free["is_locked"], free["lock_type"]) == (False, "free")
    assert (free["lock_holder"], free["ttl_seconds"], free["lock_age"]) == (None, None, None)
    left = monitoring.lock_status(known(document), "1")
    assert (left["is_locked"], left["lock_type"]) == (False, "quarantined")
    assert left["health"] == {"status": "critical", "issues": ["GPU 1: in quarantine after L1-1: died"]}


@pytest.mark.parametrize("name", ["1", "gpu_lock:1", "GPU-1"])
def test_the_names_of_a_gpu(name: str) -> None:
    assert monitoring.lock_status(known(status(gpu(0), gpu(1, uuid="GPU-1a"))), name)["lock_key"] == name


@pytest.mark.parametrize("name", ["", "gpu_lock:", "7", "GPU-", "GPU-2", "gpu_lock:gpu_lock:0"])
def test_what_names_no_gpu_or_several(name: str) -> None:
    with pytest.raises(NoSuchGpu, match=r"(no|more than one) GPU of this host is called"):
        monitoring.lock_status(known(status(gpu(0), gpu(1))), name)


def test_heartbeats() -> None:
    locks = [
        lock("L1-1", task="film", beat_age=4.0, progress=0.4, note="frame 812"),
        lock("L1-2", task="ocr"),
        lock("L1-3", task="stuck", beat_age=400.0, stalled=True, connected=False),
    ]
    knowledge = known(status(gpu(0), locks=locks))
    everything = monitoring.all_heartbeats(knowledge)
    assert set(everything["active_tasks"]) == {"L1-1", "L1-2"}
    assert (everything["dead_tasks"], everything["orphaned_tasks"]) == (["L1-3"], ["L1-3"])
    assert everything["statistics"] == {
        "total_tasks": 3,
        "beating": 1,
        "silent": 1,
        "stalled": 1,
        "failure_rate": 0.5,
    }
    film = monitoring.task_heartbeat(knowledge, "film")
    assert (film["status"], film["last_update"], film["heartbeat_exists"]) == ("beating", NOW - 4, True)
    assert film["heartbeat_data"] == {
        "lock": "L1-1",
        "task": "film",
        "user": "alice",
        "pid": 4711,
        "gpus": ["GPU-0"],
        "held_for": 90.0,
        "progress": 0.4,
        "note": "frame 812",
        "age": 4.0,
    }
    assert monitoring.task_heartbeat(knowledge, "L1-3")["status"] == "stalled"
    silent = monitoring.task_heartbeat(knowledge, "ocr")
    assert (silent["status"], silent["heartbeat_exists"], silent["is_registered"]) == ("silent", False, True)
    assert monitoring.task_heartbeat(knowledge, f"pid:{OWNER['pid']}")["heartbeat_data"] is not None
    nobody = monitoring.task_heartbeat(knowledge, "")
    assert (nobody["status"], nobody["is_registered"], nobody["heartbeat_data"]) == ("unknown", False, None)


def test_what_was_done_about_locks_that_lasted() -> None:
    history = (ended("L1-3", "released"), ended("L1-2", "max-hold"), ended("L1-1", "died"))
    taken = Announce("lock.ended", "", data={"how": "max-hold", "held": 60.0})
    recall = {"reason": "revoked", "by": "root", "note": "", "time_left": 3.0, "obstacle": ""}
    document = status(gpu(0), locks=[lock("L1-4", recall=recall)])
    answer = monitoring.timeout_status(known(document, taken, history=history))
    assert [past["lock"] for past in answer["action_history"]] == ["L1-2"]
    assert answer["timeout_stats"] == {
        "warnings": 0,
        "soft_timeouts": 0,
        "overdue": 0,
        "taken_back": 1,
        "taking_back": 1,
    }
    assert [action["level"] for action in answer["configured_actions"]] == ["warning", "soft_timeout", "hard_timeout"]


ENDS = {"enabled": "is reported", "auto_recovery": "is reported", "": "is taken back"}


@pytest.mark.parametrize(("off", "end"), ENDS.items())
def test_what_is_only_reported_says_so(off: str, end: str) -> None:
    config: Any = {**CONFIG, off: False}
    knowledge = Knowledge(status(gpu(0)), Tally(), lambda _: [], config, NOW)
    assert monitoring.timeout_status(knowledge)["configured_actions"][-1]["action"] == f"it {end}"


def test_waiting_is_told() -> None:
    document = status(gpu(0, state="held"), queue=[request(1, 7.5), request(2, 90.0)])
    metrics = monitoring.monitor_health(known(document))["metrics"]
    assert (metrics["held"], metrics["waiters"], metrics["oldest_waiter_age"]) == (1, 2, 90.0)
