"""Keys: each that a document names is a setting, each setting is documented, and no two places disagree about it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches

from .. import yamltext
from ..claims.blocks import is_ours, keys_of, role_of
from ..claims.tables import columns_of, keys_in
from ..document import Block, Document
from ..findings import Finding
from ..project import Audited, Project
from ..quantities import agrees
from ..roles import of_place
from ..source import Place
from ..truths import Truths, is_distinctive
from .values import shown

RULES: Mapping[str, str] = {
    "key-unknown": "a document names a key of this configuration that there is not",
    "key-undocumented": "a key is set, its neighbours are documented, and it is not",
    "key-hidden": "a key of the code's model is in neither the configuration nor a document",
    "key-foreign": "the configuration has a key that the code's model does not have",
    "files-disagree": "two configuration files set one key to different values",
    "default-differs": "the code's default is not what its own configuration file says",
    "block-broken": "a fenced block of this configuration is not YAML, so nothing in it can be checked",
}
_WORD = re.compile(r"[A-Za-z][\w-]*(?:[._][\w-]+)*")
_FILE_ENDING = re.compile(r"\.(?:py|md|yml|yaml|sock|socket|service|pid|lock|epoch|sqlite|conf|sh|lua|toml|json|sql)$")


def check(project: Project) -> Iterator[Finding]:
    for audited in project.documents:
        yield from _unknown(audited.document, project.truths)
    yield from _undocumented(project)
    yield from _in_code(project)
    yield from _disagreeing(project.truths)


def _unknown(document: Document, truths: Truths) -> Iterator[Finding]:
    for block in document.blocks:
        yield from _in_block(block, truths)
    for table in document.tables:
        if (columns := columns_of(table, truths)) and of_place(table.lead, table.section) in {"claim", "example"}:
            known = [row for row in table.rows if keys_in(row[columns.key], truths)]
            for row in table.rows if len(known) * 2 > len(table.rows) else ():
                cell = row[columns.key]
                name = cell.codes[0].text if cell.codes else cell.content.strip("*_ ")
                if is_distinctive(name) and not keys_in(cell, truths) and not name.isupper():
                    at = cell.offset(cell.content.index(name) if name in cell.content else 0)
                    yield _no_such_key(name, document.source.place(at), truths)
    for passage in document.passages:
        for code in passage.codes if passage.kind != "cell" else ():
            name = code.text
            top = name.split(".")[0]
            if not re.fullmatch(r"[a-z]\w*(?:\.\w+)+", name) or top not in truths.sections or _FILE_ENDING.search(name):
                continue
            is_setting = truths.resolve(name) or name in truths.sections
            if not is_setting and (is_distinctive(top) or _nearest(name, truths.keys)):
                yield _no_such_key(name, document.source.place(passage.offset(code.start + 1)), truths)


def _in_block(block: Block, truths: Truths) -> Iterator[Finding]:
    tree = block.yaml
    if tree is None:
        return
    if isinstance(tree, yamltext.Broken):
        names = {match.group() for match in re.finditer(r"^\s*([\w.-]+)(?=:)", block.content, re.MULTILINE)}
        if any(is_distinctive(name.strip()) and truths.resolve(name.strip()) for name in names):
            place = block.source.place(block.offset(min(tree.offset, len(block.content) - 1)))
            yield Finding("block-broken", place, f"this is not YAML: {tree.why}", "", hint="no value in it is checked")
        return
    if not is_ours(tree, truths) or role_of(block) in {"suggestion", "history"}:
        return
    for leaf in tree.leaves:
        parent = ".".join(leaf.path[:-1])
        if parent in truths.sections and not keys_of(leaf.path, truths):
            yield _no_such_key(".".join(leaf.path), block.source.place(block.offset(leaf.key)), truths)


def _no_such_key(name: str, place: Place, truths: Truths) -> Finding:
    near = _nearest(name, truths.keys)
    return Finding("key-unknown", place, f"{name} is named", "there is no such setting", hint=near)


def _nearest(name: str, keys: Iterable[str]) -> str:
    section, _, last = name.rpartition(".")
    inside = {key.rpartition(".")[2]: key for key in keys if not section or key.startswith(f"{section}.")}
    near = get_close_matches(last, inside, n=1, cutoff=0.75)
    return f"did you mean {inside[near[0]]}?" if near else ""


def mentioned(documents: Iterable[Audited], truths: Truths) -> set[str]:
    """The settings that any document names, in whatever form."""
    found: set[str] = set()
    names: set[str] = set()
    for audited in documents:
        found.update(key for claim in audited.claims for key in claim.keys)
        for passage in audited.document.passages:
            names.update(_WORD.findall(passage.content))
            for code in passage.codes:
                found.update(truths.resolve(code.text, passage.section))
        for block in audited.document.blocks:
            names.update(name for name in _WORD.findall(block.content) if is_distinctive(name))
    return found.union(*(truths.resolve(name) for name in names))


def _undocumented(project: Project) -> Iterator[Finding]:
    """Where more than half of a section is documented, it is meant to be documented as a whole."""
    truths = project.truths
    known = mentioned(project.documents, truths)
    for key, settings in truths.values.items():
        section = key.rpartition(".")[0]
        siblings = [each for each in truths.values if each.rpartition(".")[0] == section]
        if key not in known and sum(each in known for each in siblings) * 2 > len(siblings) > 1:
            place = settings[0].place or Place(settings[0].origin)
            yield Finding(
                "key-undocumented", place, f"{key} is set to {shown(settings[0].value)}", "no document names it"
            )
    for key, setting in truths.defaults.items() if truths.is_complete else ():
        if key not in truths.values and key not in known:
            yield Finding(
                "key-hidden",
                Place(project.configs[0].name),
                f"{key} is not in this file",
                "the code has it",
                setting.origin,
                "show it with its default",
            )


def _in_code(project: Project) -> Iterator[Finding]:
    truths = project.truths
    if not truths.defaults:
        return
    for key, settings in truths.values.items():
        for setting in settings:
            place = setting.place or Place(setting.origin)
            default = truths.defaults.get(key)
            if default is None:
                yield Finding(
                    "key-foreign",
                    place,
                    f"{key} is set",
                    "the code has no such setting",
                    hint=_nearest(key, truths.defaults),
                )
            elif truths.is_complete and agrees(shown(setting.value), default.value, default.unit) is False:
                yield Finding(
                    "default-differs",
                    place,
                    f"{key} is {shown(setting.value)} here",
                    f"its default is {shown(default.value)}",
                    default.origin,
                )


def _disagreeing(truths: Truths) -> Iterator[Finding]:
    for key, settings in truths.values.items():
        for other in settings[1:]:
            if agrees(shown(other.value), settings[0].value, other.unit) is False:
                yield Finding(
                    "files-disagree",
                    other.place or Place(other.origin),
                    f"{key} is {shown(other.value)} here",
                    f"it is {shown(settings[0].value)}",
                    settings[0].origin,
                )
