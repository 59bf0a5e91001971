"""What a translation leaves as it is: numbers, names in backticks, lines of code without their comments."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from .document import Block
from .numerals import NUMERALS, by_word
from .passage import Passage
from .quantities import Kind, narrow, quantity_at
from .source import Place
from .typed import SHELLS

_DIGITS = re.compile(r"(?<![A-Za-z0-9_.])\d+(?:,\d{3})*(?:\.\d+)*")
_NUMBERING = re.compile(r"\s*(?:\d+(?:\.\d+)*[.)、．]?|[一二三四五六七八九十]+[、.．])\s+|\s*[一二三四五六七八九十]+、")
_SCALES = {"万": 1e4, "亿": 1e8, "千": 1e3, "thousand": 1e3, "million": 1e6, "billion": 1e9}
_SCALE = re.compile(rf"\s*({'|'.join(_SCALES)})")
_ONE = frozenset(("a", "an", "one", "一"))
_WORDS: dict[str, float] = {
    **NUMERALS,
    **by_word(
        {
            0: "zero|零",
            1: "once|single|first|january|jan",
            2: "twice|second|february|feb",
            3: "third|march|mar",
            4: "april|apr",
            5: "may",
            6: "june|jun",
            7: "july|jul",
            8: "august|aug",
            9: "september|sep",
            10: "october|oct",
            11: "eleven|november|nov|十一",
            12: "dozen|december|dec",
            100: "hundred|百",
            1000: "thousand|千",
            10_000: "万",
            1_000_000: "million|百万",
        }
    ),
}
"""Each may be a number, and then says the same as figures in another edition; but none has to be one."""
_LATIN = "|".join(sorted(filter(str.isascii, _WORDS), key=len, reverse=True))
_OTHER = "|".join(sorted((word for word in _WORDS if not word.isascii()), key=len, reverse=True))
_WORD = re.compile(rf"\b(?:{_LATIN}|an?)\b|{_OTHER}", re.IGNORECASE)
_NUMERALS = frozenset("-几数第一二两三四五六七八九十百千")
"""What makes the word behind it a part of something else: twenty-five, 二十五, 一两分钟, 几十秒."""
_SPOKEN_TIMES = {"quarter of an hour": 900.0, "一刻钟": 900.0, "三刻钟": 2700.0, "半天": 43_200.0}
_COMMENTS = {
    "#": SHELLS | {"yaml", "yml", "python", "py", "ini", "toml", "dockerfile", "redis", "promql"},
    "//": frozenset(("js", "javascript", "ts", "typescript", "go", "rust", "c", "cpp", "java")),
    "--": frozenset(("sql", "lua")),
    "%%": frozenset(("mermaid",)),
}
_TECHNICAL = re.compile(r"(?<![A-Za-z0-9_.-])[A-Z]{2,}\d+(?![A-Za-z0-9_-])")
_QUOTED = re.compile(r"\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'")
_FOREIGN = re.compile(r"[^\W\d_a-zA-Z]")
_LABEL = re.compile(r"\[[^\]\n]*\]|\|[^|\n]*\||\([^)\n]*\)|\{[^}\n]*\}|:[^\n:]*$|\b(?:subgraph|title|Note)\b[^\n]*")
"""What people read in a diagram, and may be translated."""


MANY_PAIRS = 250_000
"""More that differ are not compared with each other: the paragraphs have nothing to do with one another."""


class Number(NamedTuple):
    value: float
    """In the base unit of its kind."""
    kind: Kind
    written: float | None
    text: str
    place: Place
    loose: bool = False
    """Whether it may be left out, as a word that only looks like a number: "one of them"."""

    def is_said_by(self, other: Number) -> bool:
        if math.isclose(self.value, other.value, rel_tol=1e-9) and self.kind == other.kind:
            return True
        is_bare = "" in {self.kind, other.kind} and not (self.loose or other.loose)
        return is_bare and self.written is not None and self.written == other.written


class Name(NamedTuple):
    text: str
    """Its white space made one space."""
    place: Place


def numbers_in(passage: Passage) -> Iterator[Number]:
    """Each number in figures, and each time in words; then, loosely, every other word that can be one."""
    text = narrow(passage.prose)
    at = 0
    if passage.kind == "heading" and (numbering := _NUMBERING.match(text)):
        at = numbering.end()
    yield from _spoken_times(passage, text)
    while found := _DIGITS.search(text, at):
        quantity = quantity_at(text, found.start())
        at = max(found.end(), quantity.end if quantity else 0)
        place = passage.source.place(passage.offset(found.start()))
        written = passage.prose[found.start() : at].strip()
        if quantity and quantity.quantity.kind:
            value, kind, alone = quantity.quantity
            yield Number(value, "" if kind == "count" else kind, alone, written, place)
            continue
        value = _plain(found.group())
        scale = _SCALE.match(text, found.end())
        at = scale.end() if scale else at
        value *= _SCALES[scale.group(1)] if scale else 1
        yield Number(value, "", value, written, place)
    yield from _in_words(passage, text)


def _plain(digits: str) -> float:
    """Of a version, which has several points, each part counts a thousandth of the one before it."""
    parts = digits.replace(",", "").split(".")
    return float(".".join(parts)) if len(parts) < 3 else sum(float(part) / 1e3**at for at, part in enumerate(parts))


def _spoken_times(passage: Passage, text: str) -> Iterator[Number]:
    for words, seconds in _SPOKEN_TIMES.items():
        for found in re.finditer(words, text, re.IGNORECASE):
            place = passage.source.place(passage.offset(found.start()))
            yield Number(seconds, "time", None, found.group(), place, loose=True)


def _in_words(passage: Passage, text: str) -> Iterator[Number]:
    for found in _WORD.finditer(text):
        place = passage.source.place(passage.offset(found.start()))
        word = found.group().lower()
        quantity = quantity_at(text, found.start())
        if quantity and quantity.quantity.kind == "time" and quantity.end > found.end():
            said = text[quantity.start : quantity.end]
            value, kind, alone = quantity.quantity
            is_part = text[max(0, found.start() - 1) : found.start()] in _NUMERALS
            yield Number(value, kind, alone, said, place, loose=word in _ONE or is_part)
        if word in _WORDS:
            yield Number(_WORDS[word], "", _WORDS[word], found.group(), place, loose=True)


def names_in(passage: Passage) -> Iterator[Name]:
    """What no translator changes: what stands in backticks, as far as it is ASCII, and words such as SIGUSR1."""
    for code in passage.codes:
        text = " ".join(code.text.split())
        if text.isascii() and text:
            yield Name(text, passage.source.place(passage.offset(code.start + 1)))
    for word in _TECHNICAL.finditer(passage.prose):
        yield Name(word.group(), passage.source.place(passage.offset(word.start())))


class Line(NamedTuple):
    text: str
    """Without its comment."""
    place: Place
    loose: bool = False
    """Whether it begins with `#` behind which a command of root may stand, or words for people."""

    def is_said_by(self, other: Line) -> bool:
        """The same, but for texts in quotes and words that one of them has in a language beyond ASCII."""
        if self.text == other.text:
            return True
        if not (_FOREIGN.search(self.text) or _FOREIGN.search(other.text)):
            return False
        return self.loose or other.loose or _QUOTED.sub("", self.text) == _QUOTED.sub("", other.text)


def lines_in(block: Block) -> list[Line]:
    """The lines that say something to a machine."""
    mark = next((mark for mark, languages in _COMMENTS.items() if block.language in languages), None)
    found, at = [], 0
    for line in block.content.split("\n"):
        of_root = block.language in {"console", "shell-session"} and line.lstrip().startswith("# ")
        said = _without_comment(line, mark, 2 if of_root else 0)
        said = _LABEL.sub("", said) if block.language == "mermaid" else said
        if said.strip():
            start = at + len(line) - len(line.lstrip())
            found.append(Line(said.rstrip(), block.source.place(block.offset(start)), of_root))
        at += len(line) + 1
    return found


def _without_comment(line: str, mark: str | None, start: int) -> str:
    if mark is None:
        return line
    pattern = re.compile(rf"{_QUOTED.pattern}|(?P<comment>(?:^|(?<=\s)){re.escape(mark)}.*$)")
    comment = next((found for found in pattern.finditer(line, start) if found["comment"] is not None), None)
    return line[: comment.start()] if comment else line


def left_over(ones: Sequence[Number], others: Sequence[Number]) -> tuple[list[Number], list[Number]]:
    """What of each is not said by the other. A loose one may be what a firm one means, and is missed by nobody."""
    mine, theirs = _without_the_same(ones, others)
    few = len(mine) * len(theirs) <= MANY_PAIRS
    for loose in ((False, False), (False, True), (True, False)) if few else ():
        for one in [each for each in mine if each.loose is loose[0]]:
            match = next((each for each in theirs if each.loose is loose[1] and one.is_said_by(each)), None)
            if match:
                mine.remove(one)
                theirs.remove(match)
    return [each for each in mine if not each.loose], [each for each in theirs if not each.loose]


def _without_the_same(ones: Sequence[Number], others: Sequence[Number]) -> tuple[list[Number], list[Number]]:
    """Nearly all are written alike on both sides, and are found so at once, however many they are."""
    there: dict[tuple[str, float, bool], list[Number]] = {}
    for other in reversed(others):
        there.setdefault((other.kind, other.value, other.loose), []).append(other)
    mine = []
    for one in ones:
        same = there.get((one.kind, one.value, one.loose))
        if same:
            same.pop()
        else:
            mine.append(one)
    left = {id(each) for rest in there.values() for each in rest}
    return mine, [other for other in others if id(other) in left]
