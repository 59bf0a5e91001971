"""What the page is sent of a status: all that it shows, and of what clients called themselves no more than fits."""

from __future__ import annotations

import json

from gpulock.documents import OwnerView, ProcessView, RequestView
from gpulockd.history import Ended
from gpulockd.http.board import (
    LONGEST,
    MOST_PROCESSES,
    MOST_REQUESTS,
    Quarantined,
    bar_of,
    bar_of_announced,
    board,
)

from .documents import OWNER, gpu, lock, request, status

HOSTILE = OwnerView(pid=1, uid=1000, user="u" * 500, command="c" * 5000, container="")


def test_who_has_what_and_who_waits() -> None:
    document = status(
        gpu(0, state="held", lock="L1-1", utilization=0.5),
        gpu(1, drained="repair", blocked=["drained: repair"]),
        locks=[lock("L1-1", progress=0.25, note="page 7")],
        queue=[request(1, 7.5), request(2, 2.0)],
    )
    made = board(document, 1700000000.12345, [], whole=True)
    assert (made["at"], made["host"], made["condition"], made["waiting"]) == (1700000000.123, "athena", "healthy", 2)
    assert [(each["index"], each["state"], each["lock"]) for each in made["gpus"]] == [
        (0, "held", "L1-1"),
        (1, "free", None),
    ]
    assert made["gpus"][1]["blocked"] == ["drained: repair"]
    (held,) = made["locks"]
    assert (held["task"], held["user"], held["held_for"], held["progress"]) == ("ocr", "alice", 90.0, 0.25)
    assert [(each["position"], each["waited"]) for each in made["queue"]] == [(1, 7.5), (2, 2.0)]


def test_a_quarantine_with_its_culprit() -> None:
    culprit = ProcessView(
        pid=9, memory=1 << 30, user="bob", command="python x.py", container="", relation="culprit", tie="descent"
    )
    quarantine = {"since": 3.0, "lock": "L1-1", "holder": OWNER, "reason": "died", "culprits": [culprit]}
    made = board(status(gpu(0, state="quarantined", quarantine=quarantine)), 0.0, [], whole=True)
    assert made["gpus"][0]["quarantine"] == Quarantined(
        since=3.0,
        lock="L1-1",
        user="alice",
        pid=4711,
        reason="died",
        culprits=[{"pid": 9, "user": "bob", "command": "python x.py", "memory": 1 << 30}],
    )
    assert made["condition"] == "critical"


def test_strangers_are_those_without_a_lock() -> None:
    holder = ProcessView(pid=1, memory=None, user="", command="", container="", relation="holder", tie="")
    processes = [holder, {**holder, "pid": 2, "relation": "tenant"}, {**holder, "pid": 3, "relation": "foreign"}]
    made = board(status(gpu(0, processes=processes)), 0.0, [], whole=True)
    assert [each["pid"] for each in made["gpus"][0]["strangers"]] == [3]


def test_the_worst_that_clients_can_do_stays_small() -> None:
    """4,000 requests, each with the longest names and a list of selectors, and a GPU full of strangers."""
    asked: list[RequestView] = [
        {**request(place, 1.0), "task": "t" * 1024, "owner": HOSTILE, "selectors": ["GPU-" + "f" * 36] * 1024}
        for place in range(1, 4001)
    ]
    crowd = [
        ProcessView(pid=pid, memory=None, user="u" * 99, command="c" * 4096, container="", relation="foreign", tie="")
        for pid in range(500)
    ]
    made = board(status(gpu(0, processes=crowd), queue=asked), 0.0, [], whole=True)
    assert made["waiting"] == 4000
    assert len(made["queue"]) == MOST_REQUESTS
    assert len(made["gpus"][0]["strangers"]) == MOST_PROCESSES
    assert {len(each[name]) for each in made["queue"] for name in ("task", "user", "wants")} == {LONGEST}
    assert len(json.dumps(made)) < MOST_REQUESTS * 600


def test_a_bar_is_the_same_from_history_and_as_it_is_announced() -> None:
    ended = Ended(
        lock="L1-1",
        token=1,
        gpus=("GPU-0",),
        user="alice",
        uid=1000,
        pid=7,
        command="python",
        task="ocr",
        waited=2.0,
        held=60.0,
        granted_at=940.0,
        ended_at=1000.0,
        how="revoked",
        by="root",
    )
    who = {"lock": "L1-1", "token": 1, "gpus": ["GPU-0"], "pid": 7, "user": "alice", "task": "ocr"}
    announced = {**who, "waited": 2.0, "held": 60.0, "how": "revoked", "by": "root"}
    assert bar_of(ended) == bar_of_announced(announced, 1000.0)
    assert (bar_of(ended)["since"], bar_of(ended)["until"], bar_of(ended)["by"]) == (940.0, 1000.0, "root")
