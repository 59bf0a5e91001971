"""What a document points at: other documents, places in them, files, commands."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from markdown_it import MarkdownIt
from markdown_it.token import Token

from .markdown import ROOT, blocks

DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "client" / "README.md"])
PROMPT = re.compile(r"[$#] ")
OURS = ("gpulock", "gpulockctl", "gpulockd", "make")


class Said(NamedTuple):
    """Something in the text, and the line of the paragraph that it stands in."""

    text: str
    line: int


def _inline(path: Path) -> Iterator[tuple[Token, int]]:
    for token in MarkdownIt("commonmark").enable("table").parse(path.read_text()):
        for child in token.children or ():
            yield child, (token.map or [0])[0] + 1


def links(path: Path) -> list[Said]:
    return [Said(unquote(str(token.attrs["href"])), line) for token, line in _inline(path) if token.type == "link_open"]


def spans(path: Path) -> list[Said]:
    """What stands in backticks."""
    return [Said(token.content, line) for token, line in _inline(path) if token.type == "code_inline"]


def anchors(path: Path) -> set[str]:
    """The places that a link can lead to: a heading's words, as GitHub writes them."""
    tokens = MarkdownIt("commonmark").parse(path.read_text())
    headings = [after.content for before, after in pairwise(tokens) if before.type == "heading_open"]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def commands(path: Path) -> list[Said]:
    """What a reader is to type: the lines with a prompt in `console` blocks."""
    return [
        Said(line[2:], block.line + number)
        for block in blocks(path, "console")
        for number, line in enumerate(block.content.splitlines(), 1)
        if PROMPT.match(line)
    ]


def words(command: str) -> list[str]:
    """A command line as a shell would split it, its program without the directory."""
    program, *arguments = shlex.split(command, comments=True)
    return [program.rpartition("/")[2], *arguments]
