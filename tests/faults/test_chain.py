"""The chain of a lease's deadlines on real hosts: what each party sees comes in the promised order, and in time."""

from __future__ import annotations

from itertools import pairwise

import pytest

from gpulockd.core.lease import KILL, STOP, TERMINATE, WARN
from tests.docs.markdown import ROOT, table

from .chain import END, ROWS, TROUBLES, Course, run_all

pytestmark = [pytest.mark.system, pytest.mark.redis, pytest.mark.slow]

SLACK = 0.15
"""Of the TTL: how late a busy machine may be. Between the last step and the end of the lease lies more."""
EARLY = 0.01
"""Of the TTL: the zero is known only that well."""
PROMISED = {"late": WARN, "refused": STOP, "degraded": STOP, "told": STOP, "SIGTERM": TERMINATE, "dead": KILL}


@pytest.fixture(scope="module")
def courses() -> dict[str, Course]:
    return run_all()


@pytest.mark.parametrize("name", ["dead", "cut off"])
def test_without_redis_every_step_comes_in_time_and_the_holder_is_gone_before_the_lease(
    name: str, courses: dict[str, Course]
) -> None:
    at = courses[name].at
    for key, promised in PROMISED.items():
        assert promised - EARLY <= at[key] <= promised + SLACK, f"{key}: {at}"
    for earlier, later in pairwise(("late", "degraded", "SIGTERM", "dead")):
        assert at[earlier] < at[later], at
    assert at["last grant"] <= at["refused"], at
    assert at["dead"] < 1, "another host may have the GPU from then on"
    assert courses[name].late_grants == 0


def test_a_second_host_has_the_gpu_as_soon_as_the_lease_is_over_and_no_sooner(courses: dict[str, Course]) -> None:
    for name in ("cut off", "frozen", "suspended"):
        assert 1 - EARLY <= courses[name].at["second"] <= 1 + SLACK, courses[name].at
        holder, client = courses[name].tokens
        assert holder < client, "what the work writes to can tell them apart"
    assert courses["cut off"].at["dead"] < courses["cut off"].at["second"]
    assert "second" not in courses["dead"].at, "with no Redis nobody can say that the lease is over"


@pytest.mark.parametrize("name", ["frozen", "suspended"])
def test_a_daemon_grants_nothing_on_its_old_lease_when_it_wakes_up(name: str, courses: dict[str, Course]) -> None:
    frozen = courses[name]
    assert frozen.late_grants == 0
    assert frozen.at.get("last grant", 0.0) < EARLY + 0.05, "the last one was before"
    for key in ("late", "degraded", "refused", "dead"):
        assert END - EARLY <= frozen.at[key] <= END + SLACK, f"{key}: {frozen.at}"


def test_nothing_else_was_seen(courses: dict[str, Course]) -> None:
    for course in courses.values():
        assert course.at.keys() <= ROWS.keys()


def test_the_table_that_is_shown_to_people_is_the_one_that_is_measured() -> None:
    shown = table(ROOT / "docs" / "reliability.md", "who")
    assert [tuple(row[:3]) for row in shown.rows] == list(ROWS.values())
    assert shown.header[3:] == [trouble.title for trouble in TROUBLES.values()]
