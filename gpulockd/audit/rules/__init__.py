"""The rules: one file for each family. `RULES` is the list of all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

from ..findings import Finding
from ..project import Project
from . import values

Rule: TypeAlias = Callable[[Project], Iterator[Finding]]

FAMILIES: tuple[Rule, ...] = (values.check,)

RULES: Mapping[str, str] = {**values.RULES}
"""Every rule's id, and what it finds, in one sentence."""


def check(project: Project) -> list[Finding]:
    return [finding for family in FAMILIES for finding in family(project)]
