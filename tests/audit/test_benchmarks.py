"""A suggestion that calls itself verified, and the benchmark's report that it links to."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from gpulockd.evidence.statement import Statement, Tried, Value, Verdict, written
from tests.evidence.bench.blocks import report, rounds

from .marked import Workshop, marks

HEADER = "| parameter | current | suggested | expected gain | risk | status |\n|---|---|---|---|---|---|\n"


def statement(settings: Mapping[str, Value], verdict: Verdict = "passed", **bars: str) -> str:
    baseline = Tried("poll-2", "polling", {"gpu_lock.poll_interval": 2.0}, "baseline")
    tried = Tried("candidate", "daemon", settings, verdict, bars or {"wait": "met", "redis-cpu": "not measured"})
    return written(Statement("2026-11-28", "gpulockctl bench", "0.1.0", "poll-2", (baseline, tried)))


def told(workshop: Workshop, row: str) -> list[str]:
    workshop.write("guide.md", HEADER + row)
    return [each.truth for each in workshop.audit().findings if each.rule == "suggestion-unsupported"]


VERIFIED = "| `poll_interval` | 2 | 1 s | faster | low | [verified](report.md) |\n"


@pytest.mark.parametrize(
    ("settings", "row"),
    [
        ({"gpu_lock.poll_interval": 1.0}, VERIFIED),
        (
            {"gpu_lock.poll_interval": 1},
            "| `poll_interval` | 2 | 1000 ms | faster | low | ✅ [run](report.md#figures) |\n",
        ),
        ({"gpu_lock.use_event_driven": False}, "| `use_event_driven` | true | false | x | low | [done](report.md) |\n"),
        (
            {"redis.namespace": "x"},
            "| `poll_interval` | 2 | 1 | faster | low | to be verified, see [that](report.md) |\n",
        ),
        ({"redis.namespace": "x"}, "| `poll_interval` | 2 | 1 | faster | low | [verified](https://ci.example/7) |\n"),
    ],
)
def test_a_report_that_tried_it_and_in_which_it_passed_is_evidence(
    workshop: Workshop, settings: Mapping[str, Value], row: str
) -> None:
    workshop.write("report.md", f"# Report\n\n{statement(settings)}\n\nText.\n")
    assert told(workshop, row) == []


@pytest.mark.parametrize(
    ("page", "why"),
    [
        ("# A page\n", "report.md is no report of gpulockctl bench"),
        (statement({"redis.namespace": "x"}).replace("gpu_lock.poll_interval", "gpu_lock.lock_timeout"), "did not try"),
        (statement({"gpu_lock.poll_interval": 0.5}), "report.md tried it at 2.0, 0.5"),
        (
            statement({"gpu_lock.poll_interval": 1.0}, "not passed", wait="missed"),
            "candidate has not passed: wait missed",
        ),
        (statement({"gpu_lock.poll_interval": 1.0}, "passed", wait="undecided"), "has not passed: wait undecided"),
    ],
)
def test_another_page_is_none(workshop: Workshop, page: str, why: str) -> None:
    workshop.write("report.md", page)
    (truth,) = told(workshop, VERIFIED)
    assert why in truth


def test_the_baseline_proves_nothing_of_itself(workshop: Workshop) -> None:
    workshop.write("report.md", statement({"redis.namespace": "x"}))
    row = "| `poll_interval` | 2 | 2 | none | low | [verified](report.md) |\n"
    assert told(workshop, row) == ["in report.md poll-2 has only been the baseline"]


def test_what_the_benchmark_writes_is_what_the_audit_accepts(workshop: Workshop) -> None:
    """From its blocks to the finding: one variant passed, and the other did not."""
    measured = report(rounds("poll-2", 10.0), rounds("poll-1", 3.0), rounds("poll-0.5", 3.0, requests=90.0))
    workshop.write("report.md", f"# Report\n\n{written(measured.statement)}\n")
    assert told(workshop, VERIFIED) == []
    (truth,) = told(workshop, VERIFIED.replace("1 s", "500 ms"))
    assert truth == "in report.md poll-0.5 has not passed: redis-requests missed"


def test_a_finding_stands_where_the_claim_does(workshop: Workshop) -> None:
    workshop.write("report.md", "# A page\n")
    text = HEADER + "| `poll_interval` | 2 | 1 | faster | low | «[verified](report.md)» |\n"
    assert workshop.found(text, "suggestion-unsupported") == marks(text)[1]
