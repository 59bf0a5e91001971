"""`audit.yml`: what a project tells the audit about itself. Nothing in it is run; all paths are below the root."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from .source import Source, Unreadable


class Bound(BaseModel):
    """See `truths.Binding`."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    files: str
    pattern: str
    key: str
    relation: Literal["equals", "at-least", "at-most"] = "equals"
    factor: float = 1.0
    why: str = ""

    @field_validator("pattern")
    @classmethod
    def _has_one_group(cls, pattern: str) -> str:
        try:
            groups = re.compile(pattern).groups
        except re.error as error:
            raise ValueError(f"is no regular expression: {error}") from None
        if groups != 1:
            raise ValueError("must have one group, which is the value")
        return pattern


class Order(BaseModel):
    """One setting is at most another."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    smaller: str
    larger: str
    why: str = ""


class RulesFile(BaseModel):
    """Every key may be left out."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    profile: str = "auto"
    """`gpulockd`, `generic`, or `auto`: the first whose configuration this can be."""
    config: list[str] = []
    docs: list[str] = []
    exclude: list[str] = []
    """Patterns of paths of documents that are left out."""
    editions: list[list[str]] = []
    """Documents that say the same in several languages: the first of each list is the one that the others follow."""
    off: list[str] = []
    """Rules that are not applied."""
    units: dict[str, str] = {}
    """The unit of a key's bare number: `s`, `ms`, `min`, or empty for none."""
    names: dict[str, str] = {}
    """What people call a setting, in any language, and its key."""
    variables: list[str] = []
    """Variables of the environment that there are besides those of settings."""
    variable_prefix: str | None = None
    """What the variables that set keys begin with; none: no such variables."""
    variable_separator: str = "__"
    """What stands in them for the dots of a key."""
    routes: dict[str, list[str]] | None = None
    """Paths that are served over HTTP, and the methods of each."""
    routes_in: list[str] = []
    """Patterns of Python files that say which paths are served; `routes` are added to them."""
    port_keys: list[str] = []
    """The settings that have the ports of `routes`."""
    metrics: list[str] | None = None
    metrics_in: list[str] = []
    """Patterns of Python files that make the metrics; `metrics` are added to them."""
    metric_prefixes: list[str] = []
    """A name that begins with one of these is meant as a metric."""
    alerts: list[str] = []
    """Patterns of Prometheus rule files, whose alerts are those that there are."""
    exit_codes: list[int] = []
    packages: list[str] = []
    """Python packages: the symbols that documents name are looked up there, and defaults in their code."""
    programs: dict[str, list[str]] = {}
    """Commands, and the Python files in which their parsers are made."""
    order: list[Order] = []
    bindings: list[Bound] = []


def read_rules(source: Source) -> RulesFile:
    """Raises `Unreadable` with everything that is wrong."""
    try:
        content = YAML(typ="safe", pure=True).load(source.text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise Unreadable(f"is not YAML: {error.problem}", "", source.place(mark.index if mark else 0)) from None
    except (YAMLError, ValueError, RecursionError) as error:
        raise Unreadable(f"is not YAML: {error}") from None
    try:
        return RulesFile.model_validate(content or {})
    except ValidationError as error:
        wrong = [f"{'.'.join(map(str, each['loc'])) or 'the file'}: {each['msg']}" for each in error.errors()]
        raise Unreadable("; ".join(wrong), "docs/audit.md lists the keys") from None
