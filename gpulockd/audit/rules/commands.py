"""Commands: what a reader is told to type is understood by the command's own parser."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path

from ..commandline import Program
from ..document import Table
from ..findings import Finding
from ..passage import Passage
from ..project import Project
from ..typed import Line, Word

RULES: Mapping[str, str] = {
    "command-unknown": "a subcommand, or a target of make, that there is not",
    "option-unknown": "an option that the command does not have",
    "exit-code-unknown": "an exit code that no command of the project ends with, or one told twice in a table",
}
_SYNOPSIS = re.compile(r"[\[\]|…]|\.\.\.|^<")
_EXIT_PROSE = re.compile(
    r"(?:\b(?=[er])|(?=[退返]))(?:"  # what may come first: cheaper than to try every word everywhere
    r"\b(?:exit(?:s|ed)?\s+(?:with\s+)?(?:status|code)s?|exits? with|ends? with (?:status|code)|return code"
    r"|ends? with(?=\s+`?\d{2,3}`?\s+(?:for|if|when|where)\b))"
    r"\s+`?(\d{1,3})\b(?!\s*%)"
    r"|(?:退出码|退出状态码?|返回码)\s*(?:为|是|[:：])?\s*`?(\d{1,3})(?!\d))",
    re.IGNORECASE,
)
_SIGNAL = re.compile(r"(1(?<![\w.]1)\d\d)\s*\+\s*[nN]\b(?=[^.]{0,20}(?:signal|信号|;|,|\||$))")
_EXIT_HEADER = re.compile(r"^\W*(?:exit (?:status|code)s?|退出码|退出状态码?|返回码)\W*$", re.IGNORECASE)


def check(project: Project) -> Iterator[Finding]:
    targets = _make_targets(project.root)
    for audited in project.documents:
        for line in audited.lines:
            if program := project.truths.programs.get(line.program):
                yield from _understood(line, program, line.words)
            elif line.program == "make" and targets is not None:
                yield from _targets(line, targets)
        yield from _exit_codes(project, audited.document.tables, audited.document.passages)


def _understood(line: Line, program: Program, words: list[Word]) -> Iterator[Finding]:
    """Each option is one of the program's; the first other word is its subcommand, if it has any."""
    rest = list(words)
    while rest:
        word = rest.pop(0)
        text = word.text.strip("[]")
        if text == "--" or text.startswith(("<", "…", "...")):
            return
        if text.startswith("-") and text != "-":
            name, value_follows = _option(text, program)
            if name is not None:
                yield _finding("option-unknown", line, word, name, program, program.options, "has no such option")
                return
            if value_follows and rest and not rest[0].text.startswith("[-"):
                rest.pop(0)
        elif program.commands:
            if text in program.commands:
                inner = program.commands[text]
                merged = Program(
                    inner.name, {**program.options, **inner.options}, inner.commands, inner.wraps, inner.origin
                )
                yield from _understood(line, merged, rest)
            elif re.fullmatch(r"[a-z][a-z-]+", text):
                yield _finding("command-unknown", line, word, text, program, program.commands, "has no such command")
            return
        elif program.wraps:
            return


def _option(text: str, program: Program) -> tuple[str | None, bool]:
    """The spelling that is unknown, if one is; and whether the next word is the option's value."""
    if text.startswith("--"):
        name, given, _ = text.partition("=")
        if _SYNOPSIS.search(name) or not re.fullmatch(r"--[\w-]+", name):
            return None, False
        return (None, program.options[name] and not given) if name in program.options else (name, False)
    if text in program.options:
        return None, program.options[text]
    if re.fullmatch(r"-\d+(?:\.\d+)?", text):
        return None, False
    for place, letter in enumerate(text[1:], 1):
        name = f"-{letter}"
        if name not in program.options:
            return (name, False) if letter.isalnum() else (None, False)
        if program.options[name]:
            return None, place == len(text) - 1
    return None, False


def _finding(
    rule: str, line: Line, word: Word, name: str, program: Program, known: Iterable[str], says: str
) -> Finding:
    near = get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else ""
    return Finding(
        rule, line.source.place(word.offset), f"{name} is to be typed", f"{program.name} {says}", program.origin, hint
    )


def _targets(line: Line, targets: frozenset[str]) -> Iterator[Finding]:
    for word in line.words:
        if re.fullmatch(r"[a-z][\w-]*", word.text) and word.text not in targets:
            near = get_close_matches(word.text, targets, n=1)
            yield Finding(
                "command-unknown",
                line.source.place(word.offset),
                f"make {word.text} is to be typed",
                "the Makefile has no such target",
                "Makefile",
                f"did you mean make {near[0]}?" if near else "",
            )
            return
        if word.text in {"-C", "-f"}:
            return


@lru_cache(maxsize=4)
def _make_targets(root: Path) -> frozenset[str] | None:
    """None where there is no Makefile, or one whose targets cannot be told."""
    try:
        text = (root / "Makefile").read_text()
    except (OSError, UnicodeDecodeError):
        return None
    if re.search(r"^(?:-?include|%[^=]*:)", text, re.MULTILINE):
        return None
    found = re.findall(r"^([\w./ -]+?)\s*::?(?!=)", text, re.MULTILINE)
    return frozenset(name for names in found for name in names.split())


def _exit_codes(project: Project, tables: Iterable[Table], passages: Iterable[Passage]) -> Iterator[Finding]:
    codes = project.truths.exit_codes
    if not codes:
        return
    for table in tables:
        for place, header in enumerate(table.header):
            if _EXIT_HEADER.search(header.words):
                yield from _exit_column([row[place] for row in table.rows], codes)
    for passage in passages:
        for match in _SIGNAL.finditer(passage.content):
            if match.group(1) != "128":
                at = passage.source.place(passage.offset(match.start()))
                yield Finding("exit-code-unknown", at, f"{match.group()} is named", "a signal's number is added to 128")
        for match in _EXIT_PROSE.finditer(passage.content):
            if _is_of_others(passage, match.start(), project.truths.programs):
                continue
            group = 1 if match.group(1) else 2
            yield from _exit_code(passage, match.start(group), int(match.group(group)), codes)


def _is_of_others(passage: Passage, at: int, programs: Container[str]) -> bool:
    """Whether the sentence so far names commands, and none of this project: "`grep` exits with 1"."""
    begin = max(passage.content.rfind(end, 0, at) for end in (". ", "。", "; ", "；"))
    spans = [code.text.split() for code in passage.codes if begin < code.start < at]
    named = [words[0].rpartition("/")[2] for words in spans if words and re.fullmatch(r"[a-z][a-z0-9/-]*", words[0])]
    return bool(named) and not any(name in programs for name in named)


def _exit_column(cells: Iterable[Passage], codes: frozenset[int]) -> Iterator[Finding]:
    """Each code exists, and is told once."""
    met: set[int] = set()
    for cell in cells:
        for match in re.finditer(r"(?<![\w+.])\d{1,3}(?![\w.])", cell.content):
            code = int(match.group())
            if code in met:
                place = cell.source.place(cell.offset(match.start()))
                yield Finding("exit-code-unknown", place, f"the exit code {code} is told again", "a row above has it")
            met.add(code)
            yield from _exit_code(cell, match.start(), code, codes)


def _exit_code(passage: Passage, at: int, code: int, codes: frozenset[int]) -> Iterator[Finding]:
    if code not in codes and not 128 < code < 128 + 65:
        known = ", ".join(map(str, sorted(codes)))
        yield Finding(
            "exit-code-unknown",
            passage.source.place(passage.offset(at)),
            f"the exit code {code} is named",
            f"the commands end with {known}, or 128 and a signal's number",
        )
