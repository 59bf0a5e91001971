"""What the core announces and shows is what is counted and judged here: names cannot drift apart."""

from __future__ import annotations

from typing import cast

from gpulock.documents import DaemonView, StatusDocument
from gpulockd.core import events, views
from gpulockd.core.settings import Levels
from gpulockd.http.board import bar_of_announced
from gpulockd.http.health import health_of
from gpulockd.http.metrics import Metrics
from gpulockd.http.tally import ENDS, OUTCOMES

from ..core.script import (
    Host,
    Step,
    acquire,
    cancel,
    clear,
    dies,
    disconnects,
    drains,
    happens,
    hello,
    passes,
    release,
    renewal_fails,
    revokes,
)
from .test_metrics import samples_of

DAEMON = DaemonView(
    pid=1, version="1.2.3", uptime=5.0, simulated=True, driver="", socket="", sessions=0, journal="ok", monitor="active"
)


def status_of(host: Host) -> StatusDocument:
    return cast(StatusDocument, {**views.status(host.state, host.now), "daemon": DAEMON})


def after(host: Host, *steps: Step) -> Metrics:
    """The metrics of a daemon on which the steps happened; what the core asks for does not matter here."""
    for step in steps:
        step(host)
    metrics = Metrics()
    for announce in host.announced:
        metrics.observe(announce)
    return metrics


def counts(metrics: Metrics, name: str, label: str, values: tuple[str, ...]) -> dict[str, float]:
    samples = samples_of(metrics)
    found = {value: samples[f"{name}_total", ((label, value),)] for value in values}
    return {value: count for value, count in found.items() if count}


def test_every_end_of_a_request_is_counted_under_its_name() -> None:
    metrics = after(
        Host(gpus=1),
        acquire("anna"),
        acquire("ben", wait=0),
        acquire("cleo", wait=5),
        passes(6),
        acquire("dora"),
        cancel("dora"),
        acquire("emil"),
        disconnects("emil"),
    )
    assert counts(metrics, "gpu_lock_acquisitions", "outcome", OUTCOMES) == {
        "granted": 1,
        "busy": 1,
        "timeout": 1,
        "cancelled": 1,
        "withdrawn": 1,
    }


def test_every_wait_is_observed_under_what_it_ended_in() -> None:
    metrics = after(
        Host(gpus=1),
        *(acquire("anna"), passes(2)),
        *(acquire("cleo", wait=6), passes(6)),
        *(acquire("dora"), passes(7), cancel("dora")),
        *(acquire("emil"), passes(8), disconnects("emil")),
        *(acquire("fritz"), passes(9), release("anna")),
    )
    waits = {outcome: (each.count, round(each.total)) for outcome, each in metrics.tally.waits.items()}
    assert waits == {"granted": (2, 9), "timeout": (1, 6), "cancelled": (1, 7), "withdrawn": (1, 8)}
    assert (metrics.tally.holds.count, metrics.tally.holds.total) == (1, 32)


def test_a_request_that_only_the_lease_stands_against_is_refused() -> None:
    metrics = after(Host(gpus=1, claimed=False), acquire("anna", wait=0))
    assert counts(metrics, "gpu_lock_acquisitions", "outcome", OUTCOMES) == {"refused": 1}


def test_every_end_of_a_lock_is_counted_under_its_name() -> None:
    metrics = after(
        Host(gpus=1, lease_ttl=15.0, on_loss_revoke=True, levels=Levels(hard=10_000.0)),
        *(acquire("anna"), release("anna")),
        *(acquire("ben"), disconnects("ben"), clear(0)),
        *(acquire("cleo"), dies("cleo"), clear(0)),
        *(acquire("dora"), revokes("root", "lock of dora"), release("dora"), clear(0)),
        *(acquire("emil", hold=1.0), passes(1), release("emil"), clear(0)),
        *(acquire("fritz"), renewal_fails(), passes(9), release("fritz")),
    )
    assert counts(metrics, "gpu_lock_ends", "how", ENDS) == {
        "released": 1,
        "disconnected": 1,
        "died": 1,
        "revoked": 1,
        "max-hold": 1,
        "lease-lost": 1,
    }


def test_a_lock_whose_owner_does_not_come_back_is_abandoned() -> None:
    before = Host(gpus=1)
    for step in (hello("anna", "key"), acquire("anna")):
        step(before)
    lock = before.lock("anna")
    restored = events.Restored((lock,), {}, {}, lock.token, frozenset({lock.owner.process}))
    metrics = after(Host(gpus=1), happens(restored), passes(61))
    assert counts(metrics, "gpu_lock_ends", "how", ENDS) == {"abandoned": 1}


def test_gauges_follow_the_queue() -> None:
    host = Host(gpus=2)
    metrics = after(host, acquire("anna"), acquire("ben", 2), passes(3), acquire("cleo", 2), passes(1))
    samples = samples_of(metrics, status_of(host))
    assert samples["gpu_lock_waiters", ()] == 2
    assert samples["gpu_lock_oldest_waiter_age_seconds", ()] == 4
    held = [value for (name, _), value in samples.items() if name == "gpu_lock_held"]
    assert sorted(held) == [0, 1]


def test_health_follows_the_lease_the_journal_and_the_gpus() -> None:
    host = Host(gpus=2, lease_ttl=15.0)
    assert health_of(status_of(host))["status"] == "ok"
    for step in (acquire("anna"), drains("root", "0")):
        step(host)
    assert health_of(status_of(host))["status"] == "ok"
    drains("root", "1")(host)
    assert health_of(status_of(host))["reasons"] == ["GPU 0: drained: cleaning", "GPU 1: drained: cleaning"]
    for step in (renewal_fails("no answer"), passes(9)):
        step(host)
    assert health_of(status_of(host))["reasons"] == ["the lease is degraded: no answer"]
    assert health_of(status_of(Host(gpus=1, claimed=False)))["status"] == "unavailable"
    assert health_of(status_of(Host(gpus=0)))["reasons"][-1] == "there is no GPU"


def test_a_lock_that_ends_becomes_a_bar() -> None:
    host = Host(gpus=1)
    for step in (
        acquire("anna", task="ocr"),
        passes(2),
        acquire("ben"),
        passes(5),
        release("anna"),
        passes(1),
        dies("ben"),
    ):
        step(host)
    first, second = (bar_of_announced(each.data, 100.0) for each in host.announced if each.kind == "lock.ended")
    assert (first["task"], first["how"]) == ("ocr", "released")
    assert (first["waited"], first["since"], first["until"]) == (0.0, 93.0, 100.0)
    assert (second["how"], second["waited"], second["since"]) == ("died", 5.0, 99.0)
    assert first["gpus"] == second["gpus"] == [*host.state.gpus]
