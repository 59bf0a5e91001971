"""The line that shows a waiting `gpulock` what it waits for: redrawn in place, gone when the wait is over."""

from __future__ import annotations

import os
import sys

from .clock import now
from .durations import format_duration
from .lean import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, TextIO

    from .notices import Queued

_ERASE = "\r\x1b[K"
_DIM, _PLAIN = "\x1b[2m", "\x1b[0m"


class WaitingLine:
    """Draws on a terminal; elsewhere it writes one line when the wait begins.

    A clock that ticks every second is a signal (SIGALRM): the main thread sits in a system call meanwhile.
    """

    def __init__(self, wanted: str, stream: TextIO | None = None) -> None:
        """`wanted`: what is waited for, in words."""
        self._stream = sys.stderr if stream is None else stream
        self._wanted = wanted
        self._began = now()
        self._queued: Queued | None = None
        self._heard_at = self._began
        self._drawn = False
        self._live = self._stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self._colour = self._live and not os.environ.get("NO_COLOR")

    def update(self, queued: Queued) -> None:
        """The daemon said where the request stands."""
        first = self._queued is None
        self._queued, self._heard_at = queued, now()
        if self._live:
            if first:
                signal.signal(signal.SIGALRM, self._tick)
                signal.setitimer(signal.ITIMER_REAL, 1.0, 1.0)
            self._draw()
        elif first:
            self._write(f"gpulock: waiting for {self._wanted}: {self._story(queued, 0.0)}\n")

    def erase(self) -> None:
        """The wait is over, one way or the other."""
        if self._live and self._queued is not None:
            signal.setitimer(signal.ITIMER_REAL, 0.0)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
        if self._drawn:
            self._write(_ERASE)
            self._drawn = False

    def _tick(self, *_signal: object) -> None:
        self._draw()

    def _draw(self) -> None:
        assert self._queued is not None
        waited, ago = now() - self._began, now() - self._heard_at
        head = f"gpulock: waiting {format_duration(waited)} for {self._wanted}"
        text = _fit(f"{head}: {self._story(self._queued, ago)}", _width(self._stream))
        self._drawn = True  # before it is: a signal may end the wait right behind the write
        self._write(_ERASE + (f"{_DIM}{text}{_PLAIN}" if self._colour else text))

    def _story(self, queued: Queued, ago: float) -> str:
        ahead = "next in line" if queued.ahead == 0 else f"{queued.ahead} ahead"
        return "; ".join([ahead, *(_holder(holder, ago) for holder in queued.holders)])

    def _write(self, text: str) -> None:
        # Straight to the descriptor: a tick may come while an earlier write is under way.
        try:
            os.write(self._stream.fileno(), text.encode(self._stream.encoding, "replace"))
        except OSError:
            self._live = False  # the terminal is gone; the wait goes on


def _holder(holder: Mapping[str, Any], ago: float) -> str:
    facts = ", ".join(str(fact) for fact in (f"pid {holder.get('pid')}", holder.get("task")) if fact)
    held = format_duration(float(holder.get("held_for", 0.0)) + ago)
    return f"GPU {holder.get('gpu')}: {holder.get('user') or 'someone'} ({facts}) for {held}"


def _fit(text: str, width: int) -> str:
    """A line that the terminal would wrap could not be erased."""
    if _columns(text) < width:
        return text
    while text and _columns(text) > width - 2:
        text = text[:-1]
    return text + "…"


def _columns(text: str) -> int:
    if text.isascii():
        return len(text)
    from unicodedata import east_asian_width

    return sum(2 if east_asian_width(each) in "WF" else 1 for each in text)


def _width(stream: TextIO) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except OSError:
        return 80
