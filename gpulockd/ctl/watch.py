"""`status --watch`: asks again when the daemon says that something happened, and lets the clocks run in between.

Nothing is polled: between two events no byte goes to the daemon, and the times shown are carried on here.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, NoReturn

from gpulock.errors import DaemonUnavailable

from .context import Context
from .render.look import look_of
from .render.status import picture
from .render.text import Text
from .render.ticking import later
from .screen import Screen
from .unwinding import ended_by_signal

if TYPE_CHECKING:
    import gpulock
    from gpulock.documents import StatusDocument

TICK = 1.0
"""Seconds between two pictures when nothing happens."""
BREATHER = 0.25
"""Seconds between two questions to the daemon, however much happens."""


def watch(context: Context) -> int:
    """Shows the host until Ctrl-C. Where there is no terminal: one picture, or JSON line, after each change."""
    if context.as_json or not context.look.terminal:
        _stream(context)
    else:
        with contextlib.suppress(KeyboardInterrupt), ended_by_signal(), Screen(context.out) as screen:
            _Watch(context, screen).run()
    return 0


def _stream(context: Context) -> None:
    with context.client() as client:
        for status in _news(client):
            if status is None:
                continue
            if context.as_json:
                context.emit(status, one_line=True)
            else:
                context.show([*picture(status, context.look), Text()])


def _news(client: gpulock.Client) -> Iterator[StatusDocument | None]:
    """The host's status after each change; None in between, several times a second."""
    changed, asked_at = True, -BREATHER
    for event in client.watch(every=BREATHER):
        changed = changed or event is not None
        if changed and time.monotonic() - asked_at >= BREATHER:
            changed, asked_at = False, time.monotonic()
            yield client.status()
        else:
            yield None


class _Watch:
    def __init__(self, context: Context, screen: Screen) -> None:
        self._context = context
        self._screen = screen
        self._status: StatusDocument | None = None
        self._heard_at = 0.0
        self._drawn = 0
        """At which tick since then the picture was drawn."""

    def run(self) -> NoReturn:
        """Raises `DaemonUnavailable` if there was no daemon to begin with; one that goes away is waited for."""
        while True:
            try:
                with self._context.client() as client:
                    self._follow(client)
            except DaemonUnavailable as error:
                if self._status is None:
                    raise
                self._draw(error)
                time.sleep(TICK)

    def _follow(self, client: gpulock.Client) -> None:
        for status in _news(client):
            if status is not None:
                self._status, self._heard_at = status, time.monotonic()
                self._draw()
            elif self._tick() != self._drawn:
                self._draw()

    def _tick(self) -> int:
        return int((time.monotonic() - self._heard_at) / TICK)

    def _draw(self, away: DaemonUnavailable | None = None) -> None:
        assert self._status is not None
        self._drawn = self._tick()
        passed = self._drawn * TICK
        look = look_of(self._context.out, os.environ)._replace(colour=self._context.look.colour)
        if away is None:
            lines = picture(later(self._status, passed) if passed else self._status, look)
        else:
            notice = f"As it was {passed:.0f}s ago: {away.message}. Trying again."
            lines = [*Text(notice, "bad").wrap(look.width), *picture(self._status, look)]
        self._screen.draw(lines, look)
