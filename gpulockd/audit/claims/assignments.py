"""Claims by variables: `GPU_LOCK_POLL_INTERVAL=2` in blocks of shell, ini and the like, and in inline code."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..document import Document
from ..passage import Passage
from ..roles import of_place
from ..truths import Truths
from .blocks import role_of
from .claim import Claim
from .prose import is_hypothetical

LANGUAGES = frozenset(
    (
        "sh",
        "bash",
        "shell",
        "console",
        "zsh",
        "ini",
        "env",
        "dotenv",
        "systemd",
        "dockerfile",
        "properties",
        "yaml",
        "yml",
        "",
    )
)
ASSIGNMENT = re.compile(
    r"(?<![\w$/.-])(?P<name>[A-Z][A-Z0-9]*(?:_+[A-Z0-9]+)+)"
    r"(?:=|:[ \t]+)(?P<quote>[\"']?)(?P<value>[^\s\"'#,;`]*)(?P=quote)"
)


def assignments(document: Document, truths: Truths) -> Iterator[Claim]:
    if not truths.variables:
        return
    for block in document.blocks:
        if block.language in LANGUAGES:
            for match in ASSIGNMENT.finditer(block.content):
                if (key := truths.variables.get(match["name"])) and _is_literal(match["value"]):
                    start, end = block.offset(match.start("value")), block.offset(match.end("value"))
                    yield Claim(
                        (key,), match["name"], match["value"], block.source, start, end, "environment", role_of(block)
                    )
    for passage in document.passages:
        yield from _in_code(passage, truths)


def _in_code(passage: Passage, truths: Truths) -> Iterator[Claim]:
    for code in passage.codes:
        match = ASSIGNMENT.fullmatch(code.text)
        key = (truths.variables or {}).get(match["name"]) if match else None
        if not match or not key or not _is_literal(match["value"]) or is_hypothetical(passage, code.start):
            continue
        at = passage.content.find(code.text, code.start)
        start = passage.offset(at + match.start("value"))
        role = of_place("", passage.section)
        yield Claim(
            (key,), match["name"], match["value"], passage.source, start, start + len(match["value"]), "prose", role
        )


def _is_literal(value: str) -> bool:
    """Not what a shell puts together."""
    return bool(value) and "$" not in value
