"""What must hold between settings, and of each: by the rules that the daemon's own start checks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from .. import yamltext
from ..claims.blocks import is_ours, role_of
from ..document import Block
from ..findings import Finding
from ..project import Project
from ..truths import Refuses, Truths

RULES: Mapping[str, str] = {
    "settings-refused": "the configuration has a value that is refused, or two that contradict each other",
    "block-refused": "a fenced block of this configuration would be refused",
}


def check(project: Project) -> Iterator[Finding]:
    refuses = project.truths.refuses
    if refuses is None:
        return
    for source in project.configs:
        for refusal in (each for each in refuses(source.text) if not each.unknown):  # `key-foreign` tells of those
            yield Finding(
                "settings-refused", source.place(refusal.offset(source)), refusal.message, "", hint=refusal.hint
            )
    for audited in project.documents:
        for block in audited.document.blocks:
            yield from _block(block, project, refuses)


def _block(block: Block, project: Project, refuses: Refuses) -> Iterator[Finding]:
    """Whole configurations and their beginnings only: a part of a section cannot be judged alone."""
    tree, truths = block.yaml, project.truths
    if not isinstance(tree, yamltext.Tree) or not is_ours(tree, truths) or role_of(block) == "history":
        return
    if not all(path[0] in truths.sections for path in tree.keys) or "\n---" in block.content:
        return
    if _says_but_the_defaults(tree, truths):
        return
    starts = [0]
    for line in block.content.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    for refusal in refuses(block.content):
        if refusal.unknown:
            continue  # `key-unknown` tells it
        at = min(starts[min(refusal.line, len(starts)) - 1] + refusal.column - 1, max(0, len(block.content) - 1))
        yield Finding("block-refused", block.source.place(block.offset(at)), refusal.message, "", hint=refusal.hint)


def _says_but_the_defaults(tree: yamltext.Tree, truths: Truths) -> bool:
    """Then it is accepted, as they are."""
    defaults = truths.defaults
    keys = [".".join(leaf.path) for leaf in tree.leaves]
    return bool(defaults) and all(
        key in defaults and leaf.value == defaults[key].value for key, leaf in zip(keys, tree.leaves, strict=True)
    )
