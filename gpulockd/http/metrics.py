"""The daemon in figures, after Prometheus's rules: gauges read off the status at each scrape, the rest off the tally.

Labels have few values, all known beforehand, and every counter is there from the start, at 0: a rate over a
series that begins at 1 would miss its first event. No pid, user or lock id is a label.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from gpulock.documents import GpuView, LeaseView, StatusDocument

from ..core.actions import Announce
from ..core.model import LeaseState, LockState
from ..ports import LEASE_FAULTS
from .health import health_of
from .histogram import Histogram
from .tally import Tally


class Metrics:
    """What is exported: a tally of what happened, the status of the moment, and one setting."""

    def __init__(self, poll_interval: float = 0.0) -> None:
        """`poll_interval` is that of the configuration, in seconds."""
        self.tally = Tally()
        self.poll_interval = poll_interval

    def observe(self, announce: Announce) -> None:
        """A `ports.Observer`."""
        self.tally.observe(announce)

    def exposition(self, status: StatusDocument, accept: str) -> tuple[bytes, str]:
        """Everything, in the format that an `Accept` header asks for, and that format's content type."""
        encode, content_type = choose_encoder(accept)
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Scrape(self._families(status)))
        return encode(registry), content_type

    def _families(self, status: StatusDocument) -> Iterator[Metric]:
        yield from _daemon(status)
        yield from _gpus(status["gpus"])
        yield from _locks(status)
        yield from _queue(status)
        yield from _lease(status["lease"])
        yield from _requests(self.tally)
        yield from _ends(self.tally)
        yield from _trouble(self.tally)
        yield from _latencies(self.tally)
        yield from _configuration(self.tally, self.poll_interval)
        yield from _canary(self.tally)


class _Scrape(Collector):
    """The figures of one scrape, in the form that `prometheus_client` collects."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _daemon(status: StatusDocument) -> Iterator[Metric]:
    labels = {"version": status["daemon"]["version"], "python": platform.python_version()}
    yield InfoMetricFamily("gpulockd_build", "The daemon that answers.", labels)
    yield GaugeMetricFamily(
        "gpu_lock_can_grant",
        "Whether a GPU could be granted, now or when its holder is done: what /health says.",
        health_of(status)["status"] == "ok",
    )


def _gpus(gpus: Iterable[GpuView]) -> Iterator[Metric]:
    info = InfoMetricFamily("gpu_lock_gpu", "What a GPU is: its index on this host, and its name.", labels=["gpu"])
    held = _gauge_of_gpus("gpu_lock_held", "Whether a lock is on the GPU.")
    free = _gauge_of_gpus("gpu_lock_grantable", "Whether the GPU is free and nothing keeps it from being granted.")
    quarantined = _gauge_of_gpus("gpu_lock_quarantined", "Whether what its last holder left keeps the GPU back.")
    drained = _gauge_of_gpus("gpu_lock_drained", "Whether an administrator keeps the GPU back.")
    sick = _gauge_of_gpus("gpu_lock_sick", "Whether the driver reports a fault of the GPU, or does not answer for it.")
    strangers = _gauge_of_gpus("gpu_lock_foreign_processes", "Processes on the GPU that never had a lock on it.")
    load = _gauge_of_gpus("gpu_lock_utilization_ratio", "How busy the driver says the GPU is, 0 to 1.")
    memory = _gauge_of_gpus("gpu_lock_memory_used_bytes", "How much of the memory the driver says is used.")
    for gpu in gpus:
        label = [gpu["uuid"]]
        info.add_metric(label, {"index": str(gpu["index"]), "name": gpu["name"]})
        held.add_metric(label, gpu["state"] == "held")
        free.add_metric(label, gpu["state"] == "free" and not gpu["blocked"])
        quarantined.add_metric(label, gpu["state"] == "quarantined")
        drained.add_metric(label, gpu["drained"] is not None)
        sick.add_metric(label, gpu["fault"] is not None)
        strangers.add_metric(label, sum(each["relation"] == "foreign" for each in gpu["processes"] or ()))
        for family, value in ((load, gpu["utilization"]), (memory, gpu["memory_used"])):
            if value is not None:
                family.add_metric(label, value)
    yield from (info, held, free, quarantined, drained, sick, strangers, load, memory)


def _gauge_of_gpus(name: str, documentation: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, documentation, labels=["gpu"])


def _locks(status: StatusDocument) -> Iterator[Metric]:
    states = dict.fromkeys((state.value for state in LockState), 0)
    for lock in status["locks"]:
        states[lock["state"]] += 1
    family = GaugeMetricFamily("gpu_lock_locks", "Locks, by how far they are being taken back.", labels=["state"])
    for state, count in states.items():
        family.add_metric([state], count)
    yield family
    stalled = sum(lock["stalled"] for lock in status["locks"])
    yield GaugeMetricFamily("gpu_lock_stalled_tasks", "Locks whose tasks have beaten and fallen silent.", stalled)


def _queue(status: StatusDocument) -> Iterator[Metric]:
    waits = [request["waited"] for request in status["queue"]]
    yield GaugeMetricFamily("gpu_lock_waiters", "Requests that wait.", len(waits))
    yield GaugeMetricFamily(
        "gpu_lock_oldest_waiter_age_seconds",
        "How long the request has waited that has waited longest; 0 where none waits.",
        max(waits, default=0.0),
    )


def _lease(lease: LeaseView) -> Iterator[Metric]:
    """Without Redis there is no server that could be up, and a kernel lock does not get old: no values then."""
    state = GaugeMetricFamily("gpu_lock_lease_state", "1 for the state of this host's leases.", labels=["state"])
    for each in LeaseState:
        state.add_metric([each.value], lease["state"] == each.value)
    up = GaugeMetricFamily("gpu_lock_redis_up", "Whether Redis answered when it was last asked.")
    if lease["kind"] == "redis":
        up.add_metric([], lease["fault"] in ("", "journal"))
    age = GaugeMetricFamily("gpu_lock_lease_age_seconds", "How long ago the last good renewal was sent.")
    ttl = GaugeMetricFamily("gpu_lock_lease_ttl_seconds", "The age at which a lease expires.")
    for family, value in ((age, lease["age"]), (ttl, lease["ttl"])):
        if lease["ttl"] is not None and value is not None:
            family.add_metric([], value)
    failures = dict.fromkeys(LEASE_FAULTS, 0) | lease["failures"]
    yield from (state, up, age, ttl)
    yield _counters("gpu_lock_lease_failures", "Claims and renewals of leases that failed.", "reason", failures)


def _requests(tally: Tally) -> Iterator[Metric]:
    yield _counters("gpu_lock_acquisitions", "Requests that came to an end.", "outcome", tally.outcomes)
    yield _counter("gpu_lock_timeout", "Requests that waited in vain.", tally.outcomes["timeout"])
    yield _histograms(
        "gpu_lock_wait_time_seconds", "How long requests waited until they ended.", "outcome", tally.waits
    )
    yield _counter(
        "gpu_lock_polls",
        "Times that a lease was asked for which another host had. Nothing else is polled.",
        tally.polls,
    )


def _ends(tally: Tally) -> Iterator[Metric]:
    yield _counters("gpu_lock_ends", "Locks that came to an end.", "how", tally.ends)
    yield _counters("gpu_lock_lost", "Locks that ended against the will of their holders.", "reason", tally.lost)
    yield _histogram("gpu_lock_hold_time_seconds", "How long locks were held.", tally.holds)
    yield _counters(
        "gpu_lock_age_levels", "Locks that reached an age at which something is done.", "level", tally.levels
    )
    yield _counter("gpu_lock_stalls", "Tasks that had beaten and fell silent.", tally.stalls)


def _trouble(tally: Tally) -> Iterator[Metric]:
    yield _counter("gpu_lock_quarantines", "GPUs on which an ended holder left a process.", tally.quarantines)
    yield _counter("gpu_lock_foreign", "Processes that were seen on a GPU without ever having a lock.", tally.strangers)
    yield _counter("gpu_lock_nvml_errors", "Looks at a GPU that the driver did not answer well.", tally.nvml_errors)


def _latencies(tally: Tally) -> Iterator[Metric]:
    yield _histogram("gpu_lock_journal_commit_seconds", "How long a commit of the journal took.", tally.commits)
    yield _histograms(
        "gpu_lock_redis_operation_seconds", "How long Redis took, or was waited for.", "operation", tally.redis
    )
    yield _histogram("gpu_lock_engine_lag_seconds", "How late the engine got round to what was due.", tally.lag)


def _configuration(tally: Tally, poll_interval: float) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "gpu_lock_config_poll_interval_seconds", "The setting gpu_lock.poll_interval.", poll_interval
    )
    yield _counters("gpu_lock_config_reloads", "Times that the configuration was read again.", "outcome", tally.reloads)
    yield GaugeMetricFamily(
        "gpu_lock_config_last_reload_successful",
        "Whether the configuration that was read last is in force.",
        not tally.reload_failed,
    )


def _canary(tally: Tally) -> Iterator[Metric]:
    family = CounterMetricFamily(
        "gpu_lock_canary_requests",
        "Requests while a canary ran, by the side that their session was on.",
        labels=["variant", "outcome"],
    )
    for (variant, outcome), count in tally.tried.items():
        family.add_metric([variant, outcome], count)
    yield family
    yield GaugeMetricFamily(
        "gpu_lock_canary_percent", "The share of the sessions that have a canary's settings.", tally.canary_percent
    )
    yield _counters("gpu_lock_canary_ends", "Canaries that came to an end.", "course", tally.canary_ends)


def _counter(name: str, documentation: str, count: int) -> Metric:
    return CounterMetricFamily(name, documentation, count)


def _counters(name: str, documentation: str, label: str, counts: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(name, documentation, labels=[label])
    for value, count in counts.items():
        family.add_metric([value], count)
    return family


def _histogram(name: str, documentation: str, histogram: Histogram) -> Metric:
    return HistogramMetricFamily(name, documentation, buckets=histogram.buckets(), sum_value=histogram.total)


def _histograms(name: str, documentation: str, label: str, histograms: Mapping[str, Histogram]) -> Metric:
    family = HistogramMetricFamily(name, documentation, labels=[label])
    for value, histogram in histograms.items():
        family.add_metric([value], histogram.buckets(), histogram.total)
    return family
