"""The rules: one file for each family. `RULES` is the list of all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

from .. import suppressions
from ..findings import Finding
from ..project import Project
from . import commands, keys, links, served, suggestions, values, variables

Rule: TypeAlias = Callable[[Project], Iterator[Finding]]

FAMILIES: tuple[Rule, ...] = (
    values.check,
    keys.check,
    suggestions.check,
    links.check,
    commands.check,
    served.check,
    variables.check,
)

RULES: Mapping[str, str] = {
    "file-unreadable": "a file that is no text, too long, or not there",
    "file-outside": "a link out of the tree",
    **values.RULES,
    **keys.RULES,
    **suggestions.RULES,
    **links.RULES,
    **commands.RULES,
    **served.RULES,
    **variables.RULES,
    **suppressions.RULES,
}
"""Every rule's id, and what it finds, in one sentence."""


def check(project: Project) -> list[Finding]:
    return [finding for family in FAMILIES for finding in family(project)]
