"""What a document tells people to type: command lines in blocks and in backticks, each word with its place."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from .document import Block, Document
from .source import Source

SHELLS = frozenset(("console", "sh", "bash", "shell", "zsh", "shell-session", "terminal"))
_PROMPT = re.compile(r"\s*(?:\([\w-]+\)\s*)?(?:[\w.-]+@[\w.-]+:\S*)?[$#%>]\s+")
_WORD = re.compile(r"\"(?:\\.|[^\"\\])*\"|'[^']*'|(?:\\.|[^\s\"'|;&<>()])+|[|;&<>()]+")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_BEFORE = frozenset(("sudo", "time", "exec", "nohup", "env", "command", "doas"))


class Word(NamedTuple):
    text: str
    """Without its quotes."""
    offset: int


class Line(NamedTuple):
    """One simple command: no pipe, no `&&` in it."""

    source: Source
    program: str
    """Without its folder."""
    words: list[Word]
    """What follows it."""
    at: int


def lines_of(document: Document) -> Iterator[Line]:
    for block in document.blocks:
        if block.language in SHELLS:
            yield from _in_block(block)
    for passage in document.passages:
        for code in passage.codes:
            if " " in code.text.strip() and "\n" not in passage.content[code.start : code.end]:
                at = passage.content.find(code.text, code.start)
                prompt = _PROMPT.match(code.text)
                skipped = prompt.end() if prompt else 0
                words = _words(code.text[skipped:], at + skipped)
                yield from _commands(document.source, [Word(word.text, passage.offset(word.offset)) for word in words])


def _in_block(block: Block) -> Iterator[Line]:
    """Where some lines have a prompt, the others are output; `\\` at its end goes on with the next."""
    lines = re.sub(r"\\\n", "  ", block.content).split("\n")
    prompted = any(_PROMPT.match(line) for line in lines if not line.lstrip().startswith("# "))
    prompted = prompted or block.language in {"console", "shell-session", "terminal"}
    at = 0
    for line in lines:
        prompt = _PROMPT.match(line) if prompted else None
        if prompt or (not prompted and not line.lstrip().startswith("#")):
            start = prompt.end() if prompt else 0
            words = [Word(word.text, block.offset(word.offset)) for word in _words(line[start:], at + start)]
            yield from _commands(block.source, words)
        at += len(line) + 1


def _words(line: str, at: int) -> list[Word]:
    found = []
    for match in _WORD.finditer(line):
        text = match.group()
        if text.startswith("#"):
            break
        quoted = text[0] in "\"'" and len(text) > 1
        found.append(Word(text[1:-1] if quoted else text, at + match.start()))
    return found


def _commands(source: Source, words: list[Word]) -> Iterator[Line]:
    simple: list[Word] = []
    for word in [*words, Word("|", 0)]:
        if not re.fullmatch(r"[|;&<>()]+", word.text):
            simple.append(word)
            continue
        while simple and (_ASSIGNMENT.match(simple[0].text) or simple[0].text in _BEFORE):
            simple.pop(0)
        if simple:
            program = simple[0].text.rpartition("/")[2]
            yield Line(source, program, simple[1:], simple[0].offset)
        simple = []
