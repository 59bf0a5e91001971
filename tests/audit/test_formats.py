"""SARIF and annotations, for programs that show findings beside the lines."""

from __future__ import annotations

from gpulockd.audit.findings import Finding
from gpulockd.audit.rules import RULES
from gpulockd.audit.sarif import annotation, sarif
from gpulockd.audit.source import Place

FINDING = Finding(
    "value-in-table", Place("docs/a b,c.md", 3, 21), "x is 0.5% here", "it is 2", "config.yml:4:18", "say so"
)


def test_sarif_has_the_rule_the_place_and_the_message() -> None:
    document = sarif([FINDING], RULES, "0.1.0")
    (run,) = document["runs"]
    (result,) = run["results"]
    assert document["version"] == "2.1.0"
    assert {rule["id"] for rule in run["tool"]["driver"]["rules"]} == set(RULES)
    assert result["ruleId"] == "value-in-table"
    assert result["message"]["text"] == "x is 0.5% here, but it is 2 (config.yml:4:18). say so."
    (location,) = result["locations"]
    assert location["physicalLocation"]["artifactLocation"]["uri"] == "docs/a%20b%2Cc.md"
    assert location["physicalLocation"]["region"] == {"startLine": 3, "startColumn": 21}


def test_an_annotation_is_one_line_whatever_the_finding_says() -> None:
    line = annotation(FINDING)
    place = "file=docs/a b%2Cc.md,line=3,col=21,title=value-in-table"
    assert line == f"::error {place}::x is 0.5%25 here, but it is 2 (config.yml:4:18)"
    many = Finding("x", Place("a:b.md"), "one\ntwo", "")
    assert annotation(many) == "::error file=a%3Ab.md,line=1,col=1,title=x::one%0Atwo"
