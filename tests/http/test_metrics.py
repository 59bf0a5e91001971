"""Names, labels and values of what is exported."""

from __future__ import annotations

import platform

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gpulock.documents import LeaseView, StatusDocument
from gpulockd.core.actions import Announce
from gpulockd.http.metrics import ENDS, OUTCOMES, Metrics
from gpulockd.ports import LEASE_FAULTS

from .documents import LEASE, gpu, in_quarantine, request, status

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples_of(metrics: Metrics, document: StatusDocument | None = None) -> Samples:
    text = metrics.exposition(document or status(), "")[0].decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_gauges_are_the_status_of_the_moment() -> None:
    metrics = Metrics()
    samples = samples_of(metrics, status(gpu(0), gpu(1, state="held", lock="L1-1"), in_quarantine(2)))
    assert [samples["gpu_lock_held", (("gpu", f"GPU-{index}"),)] for index in range(3)] == [0, 1, 0]
    assert samples["gpu_lock_waiters", ()] == 0
    assert samples["gpu_lock_oldest_waiter_age_seconds", ()] == 0
    assert samples["gpu_lock_gpu_info", (("gpu", "GPU-1"), ("index", "1"), ("name", "Simulated"))] == 1
    assert samples["gpulockd_build_info", (("python", platform.python_version()), ("version", "1.2.3"))] == 1

    later = status(gpu(0, state="held", lock="L1-2"), queue=[request(1, 7.5), request(2, 90.25)])
    samples = samples_of(metrics, later)
    assert samples["gpu_lock_held", (("gpu", "GPU-0"),)] == 1
    assert ("gpu_lock_held", (("gpu", "GPU-1"),)) not in samples
    assert samples["gpu_lock_waiters", ()] == 2
    assert samples["gpu_lock_oldest_waiter_age_seconds", ()] == 90.25


def test_a_lease_in_redis_tells_its_state_its_age_and_what_failed() -> None:
    held: LeaseView = {**LEASE, "kind": "redis", "ttl": 15.0, "age": 2.5}
    samples = samples_of(Metrics(), status(gpu(0), lease=held))
    assert samples["gpu_lock_redis_up", ()] == 1
    assert samples["gpu_lock_lease_age_seconds", ()] == 2.5
    assert samples["gpu_lock_lease_ttl_seconds", ()] == 15
    states = {labels[0][1]: value for (name, labels), value in samples.items() if name == "gpu_lock_lease_state"}
    assert states == {"claiming": 0, "held": 1, "late": 0, "degraded": 0}
    for reason in LEASE_FAULTS:
        assert samples["gpu_lock_lease_failures_total", (("reason", reason),)] == 0

    failed: LeaseView = {**held, "state": "degraded", "age": 9.0, "fault": "timeout", "failures": {"timeout": 3}}
    samples = samples_of(Metrics(), status(gpu(0), lease=failed))
    assert samples["gpu_lock_redis_up", ()] == 0
    assert samples["gpu_lock_lease_state", (("state", "degraded"),)] == 1
    assert samples["gpu_lock_lease_failures_total", (("reason", "timeout"),)] == 3
    assert samples["gpu_lock_lease_failures_total", (("reason", "auth"),)] == 0


def test_a_lease_that_could_not_be_written_down_does_not_blame_redis() -> None:
    granted: LeaseView = {**LEASE, "kind": "redis", "ttl": 15.0, "fault": "journal", "failures": {"journal": 1}}
    samples = samples_of(Metrics(), status(gpu(0), lease=granted))
    assert samples["gpu_lock_redis_up", ()] == 1
    assert ("gpu_lock_lease_age_seconds", ()) not in samples, "it has none yet"


def test_without_redis_nothing_is_said_of_it() -> None:
    samples = samples_of(Metrics(), status(gpu(0)))
    assert samples["gpu_lock_lease_state", (("state", "held"),)] == 1
    named = {name for name, _ in samples}
    assert named.isdisjoint({"gpu_lock_redis_up", "gpu_lock_lease_age_seconds", "gpu_lock_lease_ttl_seconds"})


def test_counters_are_there_from_the_start() -> None:
    samples = samples_of(Metrics())
    for outcome in OUTCOMES:
        assert samples["gpu_lock_acquisitions_total", (("outcome", outcome),)] == 0
    for how in ENDS:
        assert samples["gpu_lock_ends_total", (("how", how),)] == 0


@pytest.mark.parametrize(
    ("kind", "data", "counted"),
    [
        ("lock.granted", {"lock": "L1-1"}, ("gpu_lock_acquisitions_total", "outcome", "granted")),
        ("request.timed-out", {}, ("gpu_lock_acquisitions_total", "outcome", "timeout")),
        ("request.refused", {"code": "busy"}, ("gpu_lock_acquisitions_total", "outcome", "busy")),
        ("request.refused", {"code": "lease-unavailable"}, ("gpu_lock_acquisitions_total", "outcome", "refused")),
        ("request.cancelled", {}, ("gpu_lock_acquisitions_total", "outcome", "cancelled")),
        ("request.withdrawn", {}, ("gpu_lock_acquisitions_total", "outcome", "withdrawn")),
        ("lock.ended", {"how": "released"}, ("gpu_lock_ends_total", "how", "released")),
        ("lock.ended", {"how": "lease-lost"}, ("gpu_lock_ends_total", "how", "lease-lost")),
        ("lock.ended", {"how": "of old age"}, ("gpu_lock_ends_total", "how", "other")),
        ("lock.ended", {"how": ["released"]}, ("gpu_lock_ends_total", "how", "other")),
    ],
)
def test_each_announcement_counts_once(kind: str, data: dict[str, object], counted: tuple[str, str, str]) -> None:
    metrics = Metrics()
    before = samples_of(metrics)
    metrics.observe(Announce(kind, "", data=data))
    name, label, value = counted
    after = samples_of(metrics)
    assert {key for key in after if after[key] != before[key]} == {(name, ((label, value),))}
    assert after[name, ((label, value),)] == 1


def test_other_announcements_are_not_counted() -> None:
    metrics = Metrics()
    before = samples_of(metrics)
    metrics.observe(Announce("lease.late", "the lease was not renewed"))
    assert samples_of(metrics) == before


def test_two_daemons_in_one_process_do_not_share_figures() -> None:
    one, other = Metrics(), Metrics()
    one.observe(Announce("lock.granted", ""))
    assert samples_of(other)["gpu_lock_acquisitions_total", (("outcome", "granted"),)] == 0


def test_a_scraper_can_have_openmetrics() -> None:
    body, content_type = Metrics().exposition(status(), "application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")
