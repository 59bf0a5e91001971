"""Styled text whose width on a terminal is known.

Whatever reaches a terminal goes through `Text`, so a task named with escape sequences stays harmless. Not built
on rich: importing its console takes longer than everything else `gpulockctl status` does.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import Literal

Style = Literal["", "strong", "quiet", "good", "warn", "bad"]
Align = Literal["left", "right"]

_CODES: dict[Style, str] = {"strong": "1", "quiet": "2", "good": "32", "warn": "33", "bad": "1;31"}
_ASCII = {"…": "~", "·": "-", "–": "-", "×": "x", "→": ">", "░": ".", "█": "#", "■": "#", "□": "-", "▲": "!"}
_ASCII |= dict.fromkeys("▉▊▋▌", "#") | dict.fromkeys("▍▎▏", ".")


class Text:
    """An immutable run of styled spans."""

    __slots__ = ("spans", "width")

    def __init__(self, text: str = "", style: Style = "") -> None:
        shown = printable(text)
        self.spans: tuple[tuple[str, Style], ...] = ((shown, style),) if shown else ()
        self.width = measure(shown)

    def __add__(self, other: Text | str) -> Text:
        return _of(self.spans + (other if isinstance(other, Text) else Text(other)).spans)

    def __bool__(self) -> bool:
        return bool(self.spans)

    @property
    def plain(self) -> str:
        return "".join(text for text, _ in self.spans)

    def styled(self, style: Style) -> Text:
        """The same text, all of it in `style`."""
        return Text(self.plain, style)

    def cut(self, width: int) -> Text:
        """At most `width` columns; an ellipsis shows that something is missing."""
        if self.width <= width:
            return self
        kept: list[tuple[str, Style]] = []
        left = width - 1
        for text, style in self.spans:
            part = _head(text, left)
            kept.append((part, style))
            left -= measure(part)
            if part != text:
                kept.append(("…", style))
                break
        return _of(tuple(kept)) if width > 0 else Text()

    def wrap(self, width: int) -> list[Text]:
        """Lines of at most `width` columns, in the style that the text begins with; a longer word is cut."""
        style: Style = self.spans[0][1] if self.spans else ""
        lines: list[Text] = []
        for word in self.plain.split():
            if lines and lines[-1].width + 1 + measure(word) <= width:
                lines[-1] = Text(f"{lines[-1].plain} {word}", style)
            else:
                lines.append(Text(word, style).cut(width))
        return lines

    def fill(self, width: int, align: Align = "left") -> Text:
        """Exactly `width` columns."""
        text = self.cut(width)
        blank = Text(" " * (width - text.width))
        return blank + text if align == "right" else text + blank

    def written(self, *, colour: bool, unicode: bool) -> str:
        """The line for a terminal or a file, without blanks at its end."""
        spans = list(self.spans)
        while spans and not spans[-1][0].rstrip(" "):
            spans.pop()
        if spans:
            spans[-1] = (spans[-1][0].rstrip(" "), spans[-1][1])
        return "".join(
            _written(text if unicode else ascii_only(text), style if colour else "") for text, style in spans
        )


def join(separator: str, texts: Iterable[Text | str]) -> Text:
    """The non-empty ones of `texts` with a quiet `separator` between them."""
    whole = Text()
    for each in texts:
        text = each if isinstance(each, Text) else Text(each)
        if text:
            whole = whole + Text(separator, "quiet") + text if whole else text
    return whole


def printable(text: str) -> str:
    """`text` on one line, with a visible mark for whatever could steer a terminal."""
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else " " if each in "\t\n\r" else "\N{REPLACEMENT CHARACTER}" for each in text
    )


def measure(text: str) -> int:
    """How many columns of a terminal `text` takes."""
    if text.isascii():
        return len(text)
    return sum(_columns(each) for each in text)


def ascii_only(text: str) -> str:
    """`text` for terminals without UTF-8, in as many columns."""
    if text.isascii():
        return text
    return "".join(each if each.isascii() else _ASCII.get(each, "?" * _columns(each)) for each in text)


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _head(text: str, width: int) -> str:
    if text.isascii():
        return text[:width]
    used = 0
    for place, each in enumerate(text):
        used += _columns(each)
        if used > width:
            return text[:place]
    return text


def _of(spans: tuple[tuple[str, Style], ...]) -> Text:
    text = Text.__new__(Text)
    text.spans = tuple(span for span in spans if span[0])
    text.width = sum(measure(each) for each, _ in text.spans)
    return text


def _written(text: str, style: Style) -> str:
    code = _CODES.get(style)
    return f"\x1b[{code}m{text}\x1b[0m" if code and text else text
