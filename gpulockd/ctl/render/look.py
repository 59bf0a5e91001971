"""What the place where text goes can show: how wide it is, colour, Unicode."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from typing import TextIO

PLAIN_WIDTH = 80
NARROWEST = 40

ColourChoice = Literal["auto", "always", "never"]


class Look(NamedTuple):
    width: int = PLAIN_WIDTH
    height: int | None = None
    """None: no end, it scrolls."""
    colour: bool = False
    unicode: bool = True
    terminal: bool = False


def look_of(stream: TextIO, environ: Mapping[str, str], colour: ColourChoice = "auto") -> Look:
    """How text should look on `stream`. `$COLUMNS` outranks the terminal's own word."""
    terminal = stream.isatty()
    width, height = _size(stream) if terminal else (PLAIN_WIDTH, None)
    return Look(
        width=max(NARROWEST, _number(environ.get("COLUMNS")) or width),
        height=_number(environ.get("LINES")) or height if terminal else None,
        colour=_colour(terminal, environ, colour),
        unicode=speaks_unicode(environ, stream.encoding),
        terminal=terminal,
    )


def speaks_unicode(environ: Mapping[str, str], encoding: str | None) -> bool:
    """Whether the locale is a UTF-8 one.

    Python takes `LANG=C` for an accident and writes UTF-8 all the same, setting LC_CTYPE (PEP 538); so LC_CTYPE
    is asked last.
    """
    if (encoding or "").lower().replace("-", "") != "utf8":
        return False
    named = environ.get("LC_ALL") or environ.get("LANG") or environ.get("LC_CTYPE")
    return not named or "utf8" in named.lower().replace("-", "")


def _colour(terminal: bool, environ: Mapping[str, str], choice: ColourChoice) -> bool:
    if choice != "auto":
        return choice == "always"
    return terminal and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


def _size(stream: TextIO) -> tuple[int, int | None]:
    try:
        size = os.get_terminal_size(stream.fileno())
    except OSError:
        return PLAIN_WIDTH, None
    return size.columns or PLAIN_WIDTH, size.lines or None


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() and int(text) > 0 else None
