"""Everything that is announced counts once, under a name that was there from the start."""

from __future__ import annotations

from typing import Any

import pytest

from gpulockd.core.actions import Announce
from gpulockd.http.histogram import Histogram
from gpulockd.http.tally import Tally


def figures(tally: Tally) -> dict[str, float]:
    """Every figure under its path."""
    found: dict[str, float] = {}

    def note(path: str, value: Any) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                note(f"{path}.{key}", inner)
        elif isinstance(value, Histogram):
            found[path] = value.count
        elif isinstance(value, int | float):
            found[path] = value

    for name, value in vars(tally).items():
        note(name, value)
    return found


@pytest.mark.parametrize(
    ("kind", "data", "counted"),
    [
        ("lock.granted", {"waited": 3.0}, {"outcomes.granted", "waits.granted"}),
        ("request.timed-out", {"waited": 3.0}, {"outcomes.timeout", "waits.timeout"}),
        ("request.refused", {"code": "busy"}, {"outcomes.busy"}),
        ("request.refused", {"code": "lease-unavailable"}, {"outcomes.refused"}),
        ("request.deadlocked", {}, {"outcomes.deadlock"}),
        ("request.cancelled", {"waited": 3.0}, {"outcomes.cancelled", "waits.cancelled"}),
        ("request.withdrawn", {"waited": 3.0}, {"outcomes.withdrawn", "waits.withdrawn"}),
        ("lock.ended", {"how": "released", "held": 9.0}, {"ends.released", "holds"}),
        ("lock.ended", {"how": "died", "held": 9.0}, {"ends.died", "holds"}),
        ("lock.ended", {"how": "lease-lost", "held": 9.0}, {"ends.lease-lost", "lost.lease-lost", "holds"}),
        ("lock.ended", {"how": "of old age", "held": 9.0}, {"ends.other", "lost.other", "holds"}),
        ("lock.ended", {"how": ["released"]}, {"ends.other", "lost.other"}),
        ("lock.warned", {"level": "warning"}, {"levels.warning"}),
        ("lock.soft-timeout", {"level": "soft"}, {"levels.soft"}),
        ("lock.overdue", {"reason": "max-hold"}, {"levels.overdue"}),
        ("lock.stalled", {}, {"stalls"}),
        ("gpu.quarantined", {}, {"quarantines"}),
        ("gpu.foreign", {}, {"strangers"}),
        ("config.reloaded", {}, {"reloads.ok"}),
        ("config.reload-failed", {}, {"reloads.failed", "reload_failed"}),
        ("lease.late", {}, set()),
        ("lock.granted", {"waited": None}, {"outcomes.granted"}),
    ],
)
def test_each_announcement_counts_once(kind: str, data: dict[str, object], counted: set[str]) -> None:
    tally = Tally()
    before = figures(tally)
    assert set(before.values()) == {0}
    tally.observe(Announce(kind, "", data=data))
    after = figures(tally)
    assert {path for path in after if after[path] != before[path]} == counted
    assert {after[path] for path in counted} <= {1}


def test_a_reload_that_works_makes_up_for_one_that_failed() -> None:
    tally = Tally()
    for kind in ("config.reload-failed", "config.reloaded"):
        tally.observe(Announce(kind, ""))
    assert not tally.reload_failed


def test_rates_are_shares_of_all_attempts() -> None:
    tally = Tally()
    assert (tally.attempts, tally.success_rate, tally.timeout_rate, tally.recent_success_rate) == (0, 1.0, 0.0, 1.0)
    for kind in ("lock.granted", "lock.granted", "request.timed-out", "request.refused"):
        tally.observe(Announce(kind, ""))
    assert (tally.attempts, tally.success_rate, tally.timeout_rate, tally.recent_success_rate) == (4, 0.5, 0.25, 0.5)


def test_latencies_are_told_apart_by_what_was_waited_for() -> None:
    tally = Tally()
    tally.waited_for_redis("renew", 0.002)
    tally.polled()
    tally.nvml_failed(2)
    tally.beat(60.0, 0.01)
    found = {path: value for path, value in figures(tally).items() if value}
    assert found == {"redis.renew": 1, "polls": 1, "nvml_errors": 2, "lag": 1}
