"""The code itself: the symbols that documents name are there, and its defaults are those of the configuration."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from ..code import Code, CodeDefault, defaults_in
from ..findings import Finding
from ..passage import Passage
from ..project import Project
from ..quantities import agrees
from ..source import Place
from ..truths import Truths, is_distinctive
from .values import shown

RULES: Mapping[str, str] = {
    "symbol-missing": "a Python symbol of this project that its code does not have",
    "key-unread": "a key that the configuration sets, and that no code names, while it names most others",
    "code-default-differs": "code that has a default of its own for a setting, another one than the configuration",
}
_SYMBOL = re.compile(r"@?(?P<name>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+)(?:\(.*\))?", re.DOTALL)
_ENDING = re.compile(r"\.(?:py|md|yml|yaml|toml|json|sock|socket|service|lua|sql|sh|conf|whl|log|txt)$")


def check(project: Project) -> Iterator[Finding]:
    if project.truths.packages:
        code = Code([project.root / name for name in project.truths.packages])
        for audited in project.documents:
            for passage in audited.document.passages:
                yield from _symbols(passage, code, project.truths)
        yield from _unread(code, project.truths)
        if not project.truths.defaults:  # else the model of the code has been compared as a whole
            yield from _defaults(code, project)


def _symbols(passage: Passage, code: Code, truths: Truths) -> Iterator[Finding]:
    for span in passage.codes:
        match = _SYMBOL.fullmatch(span.text)
        if not match or _ENDING.search(match["name"]) or truths.resolve(match["name"]):
            continue
        name = match["name"]
        owner, _, member = name.rpartition(".")
        if name.split(".")[0] in code.tops:
            known = code.has(name)
        elif owner in code.classes and re.match(r"[A-Z]\w*[a-z]", owner):
            known = code.class_has(owner, member)
        else:
            continue
        if known is False:
            place = passage.source.place(passage.offset(span.start + 1))
            yield Finding("symbol-missing", place, f"{name} is named", "the code has no such symbol")


def _unread(code: Code, truths: Truths) -> Iterator[Finding]:
    """By the last part of each key. One of a word that is frequent is found in code that means something else."""
    declaring = f"{truths.declared_in}."
    readers = [module for name, module in code.modules.items() if not f"{name}.".startswith(declaring)]
    named = {}
    for key in truths.values:
        last = key.rpartition(".")[2]
        named[key] = any(module.says(name) for module in readers for name in {last, last.replace("-", "_")})
    for key, is_named in named.items() if sum(named.values()) * 2 > len(named) else ():
        for setting in truths.values[key] if not is_named else ():
            place = setting.place or Place(setting.origin)
            yield Finding("key-unread", place, f"{key} is set", "no code names it", "", "remove it, or have it read")


def _defaults(code: Code, project: Project) -> Iterator[Finding]:
    """Names of one word are anybody's, and so is one that several settings end with."""
    for module in code.modules.values():
        for default in defaults_in(module):
            yield from _default(default, project)


def _default(default: CodeDefault, project: Project) -> Iterator[Finding]:
    truths = project.truths
    name = default.name.removeprefix("DEFAULT_") if default.name.isupper() else default.name
    keys = truths.resolve(name) or truths.resolve(name.lower())
    if len(keys) != 1 or not is_distinctive(name):
        return
    settings = truths.settings(keys[0])
    if settings and all(agrees(str(default.value), each.value, each.unit) is False for each in settings):
        place = Place(project.shown(default.path), default.line, default.column)
        yield Finding(
            "code-default-differs",
            place,
            f"{default.name} is {shown(default.value)} here by default",
            f"{keys[0]} is {shown(settings[0].value)}",
            settings[0].origin,
        )
