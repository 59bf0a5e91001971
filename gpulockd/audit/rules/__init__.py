"""The rules: one file for each family. `RULES` is the list of all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

from .. import suppressions
from ..findings import Finding
from ..project import Project
from . import (
    benchmarks,
    code,
    commands,
    contradictions,
    deployment,
    editions,
    evidence,
    headers,
    keys,
    links,
    live,
    served,
    suggestions,
    values,
    variables,
)

Rule: TypeAlias = Callable[[Project], Iterator[Finding]]

_FAMILIES = (
    values,
    keys,
    suggestions,
    benchmarks,
    evidence,
    headers,
    links,
    code,
    commands,
    served,
    variables,
    contradictions,
    deployment,
    editions,
    live,
)

FAMILIES: tuple[Rule, ...] = tuple(family.check for family in _FAMILIES)

RULES: Mapping[str, str] = {
    "file-unreadable": "a file that is no text, too long, or not there",
    "file-outside": "a link out of the tree",
    **{rule: text for family in _FAMILIES for rule, text in family.RULES.items()},
    **suppressions.RULES,
}
"""Every rule's id, and what it finds, in one sentence."""


def check(project: Project) -> list[Finding]:
    """All of them; but where editions differ because one is wrong, and a rule knows which, that is told once."""
    found = [finding for family in FAMILIES for finding in family(project)]
    known = {str(finding.place) for finding in found if finding.rule not in editions.RULES}
    return [
        finding
        for finding in found
        if finding.rule not in editions.RULES or not {str(finding.place), finding.origin} & known
    ]
