"""The alert rules: promtool finds nothing to say, each alert is tested, and each has its section in the runbook."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any

import pytest
from ruamel.yaml import YAML

from gpulockd.http.metrics import Metrics
from tests.docs.markdown import ROOT
from tests.http import documents
from tests.support.prometheus import promtool

RULES = ROOT / "monitoring" / "alerts" / "gpu_lock.yml"
TESTS = RULES.with_name("gpu_lock_test.yml")
RUNBOOK = ROOT / "docs" / "operations.md"


def alerts() -> dict[str, Any]:
    (group,) = YAML(typ="safe").load(RULES.read_text())["groups"]
    return {rule["alert"]: rule for rule in group["rules"]}


def exported() -> set[str]:
    """The names of all series that the daemon can export."""
    body, _ = Metrics().exposition(documents.status(), "")
    families = re.findall(r"^# TYPE (\w+) (\w+)", body.decode(), re.MULTILINE)
    endings = {"histogram": ("_bucket", "_sum", "_count")}
    return {name + ending for name, kind in families for ending in endings.get(kind, ("",))}


def named_in(expression: str) -> set[str]:
    """The metrics of ours that a query names."""
    return set(re.findall(r"\bgpu(?:_lock|lockd)_\w+", expression))


def test_promtool_finds_nothing_to_say_of_the_rules() -> None:
    assert f"{len(alerts())} rules found" in promtool("check", "rules", "--lint=all", "--lint-fatal", RULES)


def test_every_alert_fires_when_it_should_and_not_before() -> None:
    assert "SUCCESS" in promtool("test", "rules", TESTS)


def test_every_alert_has_a_test_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    cases: dict[str, list[bool]] = defaultdict(list)
    series: dict[str, set[str]] = defaultdict(set)
    for test in YAML(typ="safe").load(TESTS.read_text())["tests"]:
        for case in test["alert_rule_test"]:
            cases[case["alertname"]].append(bool(case["exp_alerts"]))
            series[case["alertname"]] |= {each["series"] for each in test["input_series"]}
    assert set(cases) == set(alerts())
    assert all(any(fires) for fires in cases.values())
    spared = {name for name, fires in cases.items() if not all(fires)}
    # The rate's test spares two hosts at the very moment at which it fires for a third.
    assert set(cases) - spared == {"GPULockHighTimeoutRate"}


def test_rules_ask_for_what_the_daemon_exports() -> None:
    for name, rule in alerts().items():
        named = named_in(rule["expr"])
        assert named <= exported(), name
        assert named or name == "GPULockDaemonAbsent", name


@pytest.mark.parametrize("name", alerts())
def test_an_alert_says_what_to_do(name: str) -> None:
    rule = alerts()[name]
    assert rule["labels"]["severity"] in {"warning", "critical"}
    assert set(rule["annotations"]) == {"summary", "description", "runbook"}
    assert rule["annotations"]["runbook"] == f"docs/operations.md#{name.lower()}"
    _, _, section = RUNBOOK.read_text().partition(f"\n### {name}\n")
    text = section.partition("\n#")[0].strip()
    assert len(text) > 100, f"what to do about {name} is not in {RUNBOOK.name}"


def test_the_runbook_is_about_alerts_that_there_are() -> None:
    assert re.findall(r"^### (GPULock\w+)$", RUNBOOK.read_text(), re.MULTILINE) == list(alerts())
