"""Names, labels and values of what is exported."""

from __future__ import annotations

import platform

from prometheus_client.parser import text_string_to_metric_families

from gpulock.documents import LeaseView, ProcessView, StatusDocument
from gpulockd.core.actions import Announce
from gpulockd.http.metrics import Metrics
from gpulockd.http.tally import ENDS, OUTCOMES
from gpulockd.ports import LEASE_FAULTS

from .documents import LEASE, gpu, in_quarantine, lock, request, status

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


def test_whether_anything_could_be_granted_is_what_health_says() -> None:
    assert samples_of(Metrics(), status(gpu(0)))["gpu_lock_can_grant", ()] == 1
    assert samples_of(Metrics(), status(gpu(0), journal="disk full"))["gpu_lock_can_grant", ()] == 0


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


def test_what_was_counted_is_exported() -> None:
    metrics = Metrics(poll_interval=2.0)
    happened: dict[str, dict[str, object]] = {
        "lock.granted": {"waited": 3.0},
        "request.timed-out": {"waited": 1800.0},
        "lock.ended": {"how": "lease-lost", "held": 60.5},
        "lock.stalled": {},
        "lock.overdue": {},
        "gpu.quarantined": {},
        "gpu.foreign": {},
        "config.reload-failed": {},
    }
    for kind, data in happened.items():
        metrics.observe(Announce(kind, "", data=data))
    metrics.tally.polled()
    metrics.tally.nvml_failed(2)
    metrics.tally.commits.observe(0.00007)
    metrics.tally.waited_for_redis("claim", 0.003)
    metrics.tally.beat(0.0, 0.04)
    samples = samples_of(metrics)
    assert {key: samples[key] for key in EXPORTED} == EXPORTED


EXPORTED: Samples = {
    ("gpu_lock_acquisitions_total", (("outcome", "granted"),)): 1,
    ("gpu_lock_timeout_total", ()): 1,
    ("gpu_lock_wait_time_seconds_bucket", (("le", "1.0"), ("outcome", "granted"))): 0,
    ("gpu_lock_wait_time_seconds_bucket", (("le", "5.0"), ("outcome", "granted"))): 1,
    ("gpu_lock_wait_time_seconds_count", (("outcome", "granted"),)): 1,
    ("gpu_lock_wait_time_seconds_sum", (("outcome", "timeout"),)): 1800,
    ("gpu_lock_hold_time_seconds_sum", ()): 60.5,
    ("gpu_lock_hold_time_seconds_count", ()): 1,
    ("gpu_lock_lost_total", (("reason", "lease-lost"),)): 1,
    ("gpu_lock_age_levels_total", (("level", "overdue"),)): 1,
    ("gpu_lock_stalls_total", ()): 1,
    ("gpu_lock_quarantines_total", ()): 1,
    ("gpu_lock_foreign_total", ()): 1,
    ("gpu_lock_polls_total", ()): 1,
    ("gpu_lock_nvml_errors_total", ()): 2,
    ("gpu_lock_journal_commit_seconds_bucket", (("le", "5e-05"),)): 0,
    ("gpu_lock_journal_commit_seconds_bucket", (("le", "0.0001"),)): 1,
    ("gpu_lock_redis_operation_seconds_sum", (("operation", "claim"),)): 0.003,
    ("gpu_lock_engine_lag_seconds_count", ()): 1,
    ("gpu_lock_config_poll_interval_seconds", ()): 2,
    ("gpu_lock_config_reloads_total", (("outcome", "failed"),)): 1,
    ("gpu_lock_config_last_reload_successful", ()): 0,
}


def test_the_state_of_each_gpu_and_of_the_locks() -> None:
    stranger = ProcessView(pid=7, memory=None, user="", command="", container="", relation="foreign", tie="")
    tenant = ProcessView(pid=8, memory=None, user="", command="", container="", relation="tenant", tie="")
    document = status(
        gpu(0, utilization=0.25, memory_used=1 << 30, processes=[stranger, tenant]),
        gpu(1, state="held", lock="L1-1", fault="Xid 79", blocked=["sick: Xid 79"]),
        gpu(2, drained="repair", blocked=["drained: repair"]),
        in_quarantine(3),
        locks=[lock("L1-1", state="killing", stalled=True)],
    )
    samples = samples_of(Metrics(), document)

    def of_gpus(name: str) -> list[float]:
        return [samples[name, (("gpu", f"GPU-{index}"),)] for index in range(4)]

    assert of_gpus("gpu_lock_grantable") == [1, 0, 0, 0]
    assert of_gpus("gpu_lock_quarantined") == [0, 0, 0, 1]
    assert of_gpus("gpu_lock_drained") == [0, 0, 1, 0]
    assert of_gpus("gpu_lock_sick") == [0, 1, 0, 0]
    assert of_gpus("gpu_lock_foreign_processes") == [1, 0, 0, 0]
    assert samples["gpu_lock_utilization_ratio", (("gpu", "GPU-0"),)] == 0.25
    assert samples["gpu_lock_memory_used_bytes", (("gpu", "GPU-0"),)] == 1 << 30
    assert ("gpu_lock_utilization_ratio", (("gpu", "GPU-1"),)) not in samples, "the driver did not tell"
    assert samples["gpu_lock_locks", (("state", "killing"),)] == 1
    assert samples["gpu_lock_locks", (("state", "held"),)] == 0
    assert samples["gpu_lock_stalled_tasks", ()] == 1


def test_no_label_names_a_person_a_process_or_a_lock() -> None:
    labels = {label for _, pairs in samples_of(Metrics(), status(gpu(0))) for label, _ in pairs}
    assert labels == {"gpu", "index", "name", "outcome", "how", "reason", "level", "state", "operation", "le"} | {
        "python",
        "version",
        "variant",
        "course",
    }


def test_two_daemons_in_one_process_do_not_share_figures() -> None:
    one, other = Metrics(), Metrics()
    one.observe(Announce("lock.granted", ""))
    assert samples_of(other)["gpu_lock_acquisitions_total", (("outcome", "granted"),)] == 0


def test_a_scraper_can_have_openmetrics() -> None:
    body, content_type = Metrics().exposition(status(), "application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")
