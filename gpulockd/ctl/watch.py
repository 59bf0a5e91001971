"""`status --watch`: asks again when the daemon says that something happened, and lets the clocks run in between.

Nothing is polled: between two events no byte goes to the daemon, and the times shown are carried on here.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from .context import Context
from .live import BREATHER, Live, ended_by_signal
from .render.look import Look
from .render.status import picture
from .render.text import Text
from .screen import Screen

if TYPE_CHECKING:
    import gpulock
    from gpulock.documents import StatusDocument


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


class _Watch(Live):
    def follow(self, client: gpulock.Client) -> None:
        for status in _news(client):
            if status is not None:
                self.heard(status)
            else:
                self.tick()

    def picture(self, status: StatusDocument, look: Look) -> Sequence[Text]:
        return picture(status, look)
