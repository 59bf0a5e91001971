"""How far a run is: a bar on a terminal, and a line for each round elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self, TextIO

from gpulock.durations import format_duration

_WIDTH = 24


class Progress:
    """By the time that is over, since nobody knows how many rounds will fit."""

    def __init__(self, out: TextIO, duration: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._out, self._duration, self._clock = out, duration, clock
        self._began = clock()
        self._on_terminal = out.isatty()
        self._round = -1
        self._what, self._done, self._tasks = "", 0, 0

    def block(self, number: int, variant: str, tasks: int) -> None:
        if number != self._round and not self._on_terminal:
            self._out.write(f"round {number + 1}, {self._clocks()}\n")
            self._out.flush()
        self._round, self._what = number, f"round {number + 1}, {variant}"
        self._done, self._tasks = 0, tasks
        self._draw()

    def task(self) -> None:
        self._done += 1
        self._draw()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Clears the line."""
        if self._on_terminal:
            self._out.write("\r\x1b[K")
            self._out.flush()

    def _draw(self) -> None:
        if not self._on_terminal:
            return
        full = round(_WIDTH * min(1.0, self._passed() / self._duration))
        bar = "#" * full + "." * (_WIDTH - full)
        self._out.write(f"\r\x1b[K[{bar}] {self._clocks()}: {self._what}, {self._done} of {self._tasks} tasks")
        self._out.flush()

    def _clocks(self) -> str:
        return f"{format_duration(self._passed())} of at most {format_duration(self._duration)}"

    def _passed(self) -> float:
        return self._clock() - self._began
