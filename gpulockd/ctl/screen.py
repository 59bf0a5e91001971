"""A terminal's alternate screen: taken for as long as a picture is watched, and given back whatever happens."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Self, TextIO

from .render.look import Look
from .render.text import Text

_ENTER = "\x1b[?1049h\x1b[?25l"
_LEAVE = "\x1b[?25h\x1b[?1049l"


class Screen:
    def __init__(self, out: TextIO) -> None:
        self._out = out

    def __enter__(self) -> Self:
        self._write(_ENTER)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._write(_LEAVE)

    def draw(self, lines: Sequence[Text], look: Look) -> None:
        """Replaces what is shown, in one write: nothing flickers. What does not fit is counted."""
        if look.height is not None and len(lines) > look.height:
            kept = look.height - 1
            lines = [*lines[:kept], Text(f"and {len(lines) - kept} more lines; this window is too low", "quiet")]
        # A line is cleared before it is written: clearing behind a line that fills the width takes its last column.
        drawn = "\r\n".join(
            "\x1b[2K" + line.cut(look.width).written(colour=look.colour, unicode=look.unicode) for line in lines
        )
        self._write("\x1b[H" + drawn + "\x1b[0J")

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()
