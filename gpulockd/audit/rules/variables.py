"""Variables of the environment: each that begins as the project's own do is one of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches

from ..findings import Finding
from ..project import Project
from ..source import Source

RULES: Mapping[str, str] = {
    "variable-unknown": "a variable of the environment that begins as the project's own do, and that nothing reads",
}
_NAME = re.compile(r"(?<![\w./-])[A-Z][A-Z0-9]*(?:_+[A-Z0-9]+)+(?![\w*…<{-]|\.\.\.|_)")
_PLACEHOLDER = re.compile(r"__(?:SECTION|KEY|NAME|X{2,3}|FOO)(?:__|$)")


def check(project: Project) -> Iterator[Finding]:
    known = project.truths.variables
    prefixes = project.truths.variable_prefixes
    if not known or not prefixes:
        return
    for audited in project.documents:
        source = audited.source
        for passage in audited.document.passages:
            for code in passage.codes:
                at = passage.content.find(code.text, code.start)
                for match in _NAME.finditer(code.text):
                    yield from _variable(source, passage.offset(at + match.start()), match.group(), known, prefixes)
        for block in audited.document.blocks:
            for match in _NAME.finditer(block.content):
                yield from _variable(source, block.offset(match.start()), match.group(), known, prefixes)


def _variable(
    source: Source, at: int, name: str, known: Mapping[str, str | None], prefixes: tuple[str, ...]
) -> Iterator[Finding]:
    if name in known or not name.startswith(prefixes) or _PLACEHOLDER.search(name):
        return
    near = get_close_matches(name, known, n=1)
    yield Finding(
        "variable-unknown",
        source.place(at),
        f"{name} is named",
        "nothing reads such a variable",
        hint=f"did you mean {near[0]}?" if near else "",
    )
