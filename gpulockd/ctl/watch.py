"""`status --watch`: asks again when the daemon says that something happened, and lets the clocks run in between.

Nothing is polled: between two events no byte goes to the daemon, and the times shown are carried on here.
"""

from __future__ import annotations

import contextlib
import os
import signal
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

if TYPE_CHECKING:
    from gpulock.documents import StatusDocument

    from .daemon import Connection

TICK = 1.0
"""Seconds between two pictures when nothing happens."""
BREATHER = 0.25
"""Seconds between two questions to the daemon, however much happens."""


def watch(context: Context) -> int:
    """Shows the host until Ctrl-C. Where there is no terminal: one picture, or JSON line, after each change."""
    if context.as_json or not context.look.terminal:
        _stream(context)
    with contextlib.suppress(KeyboardInterrupt), _ended_by_signal(), Screen(context.out) as screen:
        _Watch(context, screen).run()
    return 0


def _stream(context: Context) -> NoReturn:
    with context.connect() as connection:
        connection.call("watch")
        while True:
            status: StatusDocument = connection.call("status")
            if context.as_json:
                context.emit(status, one_line=True)
            else:
                context.show([*picture(status, context.look), Text()])
            connection.events(within=None)
            _breathe(connection, time.monotonic())


class _Watch:
    def __init__(self, context: Context, screen: Screen) -> None:
        self._context = context
        self._screen = screen
        self._status: StatusDocument | None = None
        self._asked_at = 0.0

    def run(self) -> NoReturn:
        """Raises `DaemonUnavailable` if there was no daemon to begin with; one that goes away is waited for."""
        while True:
            try:
                with self._context.connect() as connection:
                    connection.call("watch")
                    self._follow(connection)
            except DaemonUnavailable as error:
                if self._status is None:
                    raise
                self._draw(error)
                time.sleep(TICK)

    def _follow(self, connection: Connection) -> NoReturn:
        while True:
            self._status = connection.call("status")
            self._asked_at = time.monotonic()
            self._draw()
            while not connection.events(within=self._until_tick()):
                self._draw()
            _breathe(connection, self._asked_at)

    def _until_tick(self) -> float:
        """Until a whole number of seconds has passed since the answer, so that the clocks run evenly."""
        return TICK - (time.monotonic() - self._asked_at) % TICK

    def _draw(self, away: DaemonUnavailable | None = None) -> None:
        assert self._status is not None
        look = look_of(self._context.out, os.environ)._replace(colour=self._context.look.colour)
        passed = time.monotonic() - self._asked_at
        if away is None:
            lines = picture(later(self._status, passed) if passed >= TICK else self._status, look)
        else:
            notice = f"As it was {passed:.0f}s ago: {away.message}. Trying again."
            lines = [*Text(notice, "bad").wrap(look.width), *picture(self._status, look)]
        self._screen.draw(lines, look)


def _breathe(connection: Connection, since: float) -> None:
    time.sleep(max(0.0, since + BREATHER - time.monotonic()))
    connection.events(within=0.0)  # what came meanwhile is in the next answer, too


@contextlib.contextmanager
def _ended_by_signal() -> Iterator[None]:
    """SIGTERM and SIGHUP unwind like Ctrl-C does: the terminal must be given back."""

    def leave(number: int, _: object) -> NoReturn:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, action in before.items():
            signal.signal(number, action)
