"""What a terminal can show, and what is none."""

from __future__ import annotations

import io
import os
import pty
import termios

import pytest

from gpulockd.ctl.render.look import Look, look_of, speaks_unicode


def test_a_file_gets_80_plain_columns() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    assert look_of(stream, {}) == Look(width=80, height=None, colour=False, unicode=True, terminal=False)
    assert look_of(stream, {"COLUMNS": "120"}).width == 120
    assert look_of(stream, {"COLUMNS": "wide"}).width == 80
    assert look_of(stream, {"COLUMNS": "5"}).width == 40
    assert look_of(stream, {}, "always").colour


def test_a_terminal_is_asked() -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb"), os.fdopen(theirs, "w", encoding="utf-8") as terminal:
        termios.tcsetwinsize(theirs, (40, 132))
        assert look_of(terminal, {"TERM": "xterm"}) == Look(132, 40, colour=True, unicode=True, terminal=True)
        assert look_of(terminal, {"COLUMNS": "100", "LINES": "20"})[:2] == (100, 20)
        assert not look_of(terminal, {"NO_COLOR": "1"}).colour
        assert look_of(terminal, {"NO_COLOR": ""}).colour  # https://no-color.org: empty means not set
        assert not look_of(terminal, {"TERM": "dumb"}).colour
        assert not look_of(terminal, {"TERM": "xterm"}, "never").colour
        assert look_of(terminal, {"NO_COLOR": "1"}, "always").colour


@pytest.mark.parametrize(
    ("environ", "encoding", "speaks"),
    [
        ({}, "utf-8", True),
        ({"LANG": "en_GB.UTF-8"}, "UTF-8", True),
        ({"LANG": "de_DE.utf8"}, "utf-8", True),
        ({"LANG": "C.UTF-8", "LC_ALL": "C"}, "utf-8", False),
        ({"LANG": "C", "LC_CTYPE": "C.UTF-8"}, "utf-8", False),  # what Python makes of LANG=C
        ({"LC_CTYPE": "C.UTF-8"}, "utf-8", True),
        ({"LANG": "POSIX"}, "utf-8", False),
        ({"LANG": "en_US.ISO-8859-1"}, "iso8859-1", False),
        ({"LANG": "en_GB.UTF-8"}, "ascii", False),
        ({}, None, False),
    ],
)
def test_unicode_follows_the_locale(environ: dict[str, str], encoding: str | None, speaks: bool) -> None:
    assert speaks_unicode(environ, encoding) is speaks
