"""Findings as SARIF 2.1.0, and as annotations for continuous integration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from .findings import Finding

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def sarif(findings: Iterable[Finding], rules: Mapping[str, str], version: str) -> dict[str, Any]:
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "gpulockctl audit",
                        "version": version,
                        "rules": [{"id": rule, "shortDescription": {"text": text}} for rule, text in rules.items()],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "results": [_result(finding) for finding in findings],
            }
        ],
    }


def _result(finding: Finding) -> dict[str, Any]:
    region = {"startLine": finding.place.line, "startColumn": finding.place.column}
    location = {"artifactLocation": {"uri": quote(finding.place.file)}, "region": region}
    hint = f" {finding.hint}." if finding.hint else ""
    return {
        "ruleId": finding.rule,
        "level": "error",
        "message": {"text": f"{finding.message}.{hint}"},
        "locations": [{"physicalLocation": location}],
    }


def annotation(finding: Finding) -> str:
    """A workflow command, which shows the finding beside the line that it is about."""
    place = finding.place
    file = _escaped(place.file).replace(",", "%2C").replace(":", "%3A")
    return f"::error file={file},line={place.line},col={place.column},title={finding.rule}::{_escaped(finding.message)}"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
