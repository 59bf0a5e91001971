"""A picture of the host on a terminal, drawn anew for as long as somebody looks; a daemon that goes away is waited for.

Nothing here asks the daemon anything: what to ask, and when, is the business of `watch` and `top`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NoReturn

from gpulock.errors import DaemonUnavailable

from .context import Context
from .render.look import Look, look_of
from .render.text import Text
from .render.ticking import later
from .screen import Screen

if TYPE_CHECKING:
    import gpulock
    from gpulock.documents import StatusDocument

TICK = 1.0
"""Seconds between two pictures when nothing happens."""
BREATHER = 0.25
"""Seconds between two questions to the daemon, however much happens."""


class Live(ABC):
    def __init__(self, context: Context, screen: Screen) -> None:
        self._context = context
        self._screen = screen
        self._status: StatusDocument | None = None
        self._heard_at = 0.0
        self._drawn = 0
        """At which tick since then the picture was drawn."""

    @abstractmethod
    def follow(self, client: gpulock.Client) -> None:
        """Hands what the daemon says to `heard`, and calls `tick` in between. Raises `DaemonUnavailable` in the end."""

    @abstractmethod
    def picture(self, status: StatusDocument, look: Look) -> Sequence[Text]: ...

    def pause(self) -> None:
        """Lets a tick pass while the daemon is away."""
        time.sleep(TICK)

    def run(self) -> NoReturn:
        """Raises `DaemonUnavailable` if there was no daemon to begin with; one that goes away is waited for."""
        while True:
            try:
                with self._context.client() as client:
                    self.follow(client)
            except DaemonUnavailable as error:
                if self._status is None:
                    raise
                self.draw(error)
                self.pause()

    def heard(self, status: StatusDocument) -> None:
        self._status, self._heard_at = status, time.monotonic()
        self.draw()

    def tick(self) -> None:
        """Lets the clocks of the picture run."""
        if self._ticks() != self._drawn:
            self.draw()

    def draw(self, away: DaemonUnavailable | None = None) -> None:
        if self._status is None:
            return
        self._drawn = self._ticks()
        passed = self._drawn * TICK
        look = look_of(self._context.out, os.environ)._replace(colour=self._context.look.colour)
        if away is None:
            lines = self.picture(later(self._status, passed) if passed else self._status, look)
        else:
            words = f"As it was {passed:.0f}s ago: {away.message}. Trying again."
            notice = Text(words, "bad").wrap(look.width)
            left = look if look.height is None else look._replace(height=max(1, look.height - len(notice)))
            lines = [*notice, *self.picture(self._status, left)]
        self._screen.draw(lines, look)

    def _ticks(self) -> int:
        return int((time.monotonic() - self._heard_at) / TICK)


@contextlib.contextmanager
def ended_by_signal() -> Iterator[None]:
    """SIGTERM and SIGHUP unwind like Ctrl-C does: the terminal must be given back."""

    def leave(number: int, _: object) -> NoReturn:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, action in before.items():
            signal.signal(number, action)
