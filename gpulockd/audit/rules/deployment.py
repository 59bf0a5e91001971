"""Unit files, compose files, alert rules: their numbers and paths follow from the configuration."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import PurePath

from ..claims.assignments import ASSIGNMENT
from ..findings import Finding
from ..project import Project
from ..quantities import agrees, seconds_of, whole
from ..source import Source, Unreadable, read
from ..truths import Binding, Setting
from .values import shown

RULES: Mapping[str, str] = {
    "deployment-differs": "a unit, compose or alert file has a value that does not follow from the configuration",
}
_FILES = ("*.service", "*.socket", "docker-compose*.yml", "docker-compose*.yaml", "compose*.yml", "compose*.yaml")


def check(project: Project) -> Iterator[Finding]:
    for binding in project.truths.bindings:
        for source in _sources(binding.files, project):
            yield from _bound(binding, source, project)
    for pattern in _FILES:
        for source in _sources(pattern, project):
            yield from _variables(source, project)


def _sources(pattern: str, project: Project) -> Iterator[Source]:
    """The files of the tree that match, from the right: `*.service` is one in any folder."""
    for name in sorted(each for each in project.tree.paths if PurePath(each).match(pattern)):
        with suppress(Unreadable):
            yield read(project.root / name, name)


def _bound(binding: Binding, source: Source, project: Project) -> Iterator[Finding]:
    for setting in project.truths.settings(binding.key):
        for match in re.finditer(binding.pattern, source.text, re.MULTILINE):
            if _holds(binding, match.group(1), setting) is False:
                factor = f"{binding.factor:g} times " if binding.factor != 1 else ""
                relation = {"equals": "", "at-least": "at least ", "at-most": "at most "}[binding.relation]
                yield Finding(
                    "deployment-differs",
                    source.place(match.start(1)),
                    f"{match.group().strip()} stands here",
                    f"it must be {relation}{factor}{setting.key}, {shown(setting.value)}",
                    setting.origin,
                    binding.why,
                )


def _holds(binding: Binding, written: str, setting: Setting) -> bool | None:
    if binding.relation == "equals" and binding.factor == 1:
        return agrees(written, setting.value, setting.unit)
    said, meant = whole(written), whole(shown(setting.value))
    if said is None or meant is None:
        return None
    unit = (seconds_of(setting.unit) if setting.unit else None) or 1.0
    if "time" in {said.kind, meant.kind}:
        number, bound = (each.number * (1.0 if each.kind == "time" else unit) for each in (said, meant))
    else:
        number, bound = said.number, meant.number
    bound *= binding.factor
    if binding.relation == "equals":
        return number == bound
    return number >= bound if binding.relation == "at-least" else number <= bound


def _variables(source: Source, project: Project) -> Iterator[Finding]:
    """A variable goes before the configuration file, so one that differs hides what the file says."""
    truths = project.truths
    for match in ASSIGNMENT.finditer(source.text):
        line = source.text[source.text.rfind("\n", 0, match.start()) + 1 : match.start()]
        key = (truths.variables or {}).get(match["name"])
        if key is None or not match["value"] or line.lstrip().startswith(("#", ";")) or "$" in match["value"]:
            continue
        settings = truths.settings(key)
        if settings and all(agrees(match["value"], each.value, each.unit) is False for each in settings):
            yield Finding(
                "deployment-differs",
                source.place(match.start("value")),
                f"{match['name']} is {match['value']} here",
                f"{key} is {shown(settings[0].value)}",
                settings[0].origin,
            )
