"""Single keys from a terminal, as they are pressed, without an echo; the terminal is given back as it was."""

from __future__ import annotations

import contextlib
import os
import select
import termios
import time
import tty
from types import TracebackType
from typing import Any, Self, TextIO


class Keyboard:
    """Where the stream is no terminal, no key is ever pressed."""

    def __init__(self, stream: TextIO) -> None:
        self._descriptor = stream.fileno() if stream.isatty() else None
        self._before: list[Any] | None = None
        self._hung_up = False

    def __enter__(self) -> Self:
        if self._descriptor is not None:
            self._before = termios.tcgetattr(self._descriptor)
            tty.setcbreak(self._descriptor, termios.TCSANOW)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._descriptor is not None and self._before is not None:
            with contextlib.suppress(termios.error):  # the terminal has gone
                termios.tcsetattr(self._descriptor, termios.TCSANOW, self._before)

    def pressed(self, within: float = 0.0) -> str:
        """The keys that were pressed since the last time; waits for one for so many seconds."""
        if self._descriptor is None or self._hung_up:
            time.sleep(within)
            return ""
        if not select.select([self._descriptor], [], [], within)[0]:
            return ""
        try:
            keys = os.read(self._descriptor, 64)
        except OSError:
            keys = b""
        self._hung_up = not keys
        return keys.decode(errors="ignore")
