"""Healthy is whoever could grant; otherwise every reason is told."""

from __future__ import annotations

from typing import Literal

import pytest

from gpulock.documents import LeaseView
from gpulockd.http.health import health_of

from .documents import LEASE, gpu, in_quarantine, status


def lease(state: Literal["claiming", "held", "late", "degraded"], why: str = "") -> LeaseView:
    return {**LEASE, "kind": "redis", "state": state, "ttl": 15.0, "age": 1.0, "why": why}


def test_a_daemon_that_could_grant_is_healthy() -> None:
    assert health_of(status(gpu(0))) == {
        "schema_version": 1,
        "status": "ok",
        "reasons": [],
        "host": "athena",
        "version": "1.2.3",
        "simulated": True,
    }


@pytest.mark.parametrize(
    "document",
    [
        status(gpu(0, state="held", lock="L1-1")),
        status(gpu(0), gpu(1, blocked=["drained"]), in_quarantine(2)),
        status(gpu(0), lease=lease("late", "the store does not answer")),
    ],
    ids=["all held", "some out of service", "lease late"],
)
def test_what_does_not_keep_it_from_granting_is_no_reason(document: object) -> None:
    assert health_of(document)["reasons"] == []  # type: ignore[arg-type]


def test_without_journal_lease_or_gpu_nothing_can_be_granted() -> None:
    health = health_of(status(lease=lease("degraded", "the store does not answer"), journal="disk full"))
    assert health["status"] == "unavailable"
    assert health["reasons"] == [
        "the journal cannot be written: disk full",
        "the lease is degraded: the store does not answer",
        "there is no GPU",
    ]
    assert health_of(status(gpu(0), lease=lease("claiming")))["reasons"] == ["the lease is claiming: no answer yet"]


def test_when_every_gpu_is_out_of_service_each_is_told() -> None:
    document = status(gpu(0, state="held", lock="L1-1", blocked=["drained: repair", "sick: Xid 79"]), in_quarantine(1))
    assert document["lease"] == LEASE
    assert health_of(document)["reasons"] == [
        "GPU 0: drained: repair; sick: Xid 79",
        "GPU 1: in quarantine after L1-1: died",
    ]
