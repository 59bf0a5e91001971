"""The daemon in figures, after Prometheus's rules: gauges read off the status at each scrape, counters kept here.

Labels have few values, all known beforehand, and every counter is there from the start, at 0: a rate over a
series that begins at 1 would miss its first event. No pid, user or lock id is a label.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from gpulock.documents import LeaseView, StatusDocument

from ..core.actions import Announce
from ..core.model import LeaseState
from ..ports import LEASE_FAULTS

OUTCOMES = ("granted", "timeout", "busy", "refused", "cancelled", "withdrawn")
"""How a request can end: `busy` did not want to wait, `withdrawn` lost its client."""

ENDS = ("released", "disconnected", "died", "abandoned", "revoked", "max-hold", "lease-lost", "other")
"""How a lock can end: by its holder, with its holder, or by being taken back."""

_OUTCOME_OF = {
    "lock.granted": "granted",
    "request.timed-out": "timeout",
    "request.cancelled": "cancelled",
    "request.withdrawn": "withdrawn",
}


class Metrics:
    """Counts what is announced; the rest is in the status of the moment."""

    def __init__(self) -> None:
        self._outcomes = dict.fromkeys(OUTCOMES, 0)
        self._ends = dict.fromkeys(ENDS, 0)

    def observe(self, announce: Announce) -> None:
        """A `ports.Observer`."""
        if announce.kind == "request.refused":
            self._outcomes["busy" if announce.data.get("code") == "busy" else "refused"] += 1
        elif outcome := _OUTCOME_OF.get(announce.kind):
            self._outcomes[outcome] += 1
        elif announce.kind == "lock.ended":
            how = announce.data.get("how")
            self._ends[how if isinstance(how, str) and how in self._ends else "other"] += 1

    def exposition(self, status: StatusDocument, accept: str) -> tuple[bytes, str]:
        """Everything, in the format that an `Accept` header asks for, and that format's content type."""
        encode, content_type = choose_encoder(accept)
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Scrape(self._families(status)))
        return encode(registry), content_type

    def _families(self, status: StatusDocument) -> Iterator[Metric]:
        yield from _build(status)
        yield from _gpus(status)
        yield from _queue(status)
        yield from _lease(status["lease"])
        yield _counter("gpu_lock_acquisitions", "Requests that came to an end.", "outcome", self._outcomes)
        yield _counter("gpu_lock_ends", "Locks that came to an end.", "how", self._ends)


class _Scrape(Collector):
    """The figures of one scrape, in the form that `prometheus_client` collects."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _build(status: StatusDocument) -> Iterator[Metric]:
    labels = {"version": status["daemon"]["version"], "python": platform.python_version()}
    yield InfoMetricFamily("gpulockd_build", "The daemon that answers.", labels)


def _gpus(status: StatusDocument) -> Iterator[Metric]:
    info = InfoMetricFamily("gpu_lock_gpu", "What a GPU is: its index on this host, and its name.", labels=["gpu"])
    held = GaugeMetricFamily("gpu_lock_held", "Whether a lock is on the GPU.", labels=["gpu"])
    for gpu in status["gpus"]:
        info.add_metric([gpu["uuid"]], {"index": str(gpu["index"]), "name": gpu["name"]})
        held.add_metric([gpu["uuid"]], gpu["state"] == "held")
    yield from (info, held)


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
    yield _counter("gpu_lock_lease_failures", "Claims and renewals of leases that failed.", "reason", failures)


def _counter(name: str, documentation: str, label: str, counts: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(name, documentation, labels=[label])
    for value, count in counts.items():
        family.add_metric([value], count)
    return family
