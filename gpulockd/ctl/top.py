"""`top`: the host on a terminal, live. What happens is heard of; only the load and memory of the GPUs are asked for.

Nobody tells when a GPU's load changes, so the status is asked for every few seconds. Ends of locks come with their
events and cost no question, but for the first ones, which lie in the past.
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from os import getpid, kill
from typing import TYPE_CHECKING, Any, TextIO

from .context import Context
from .keyboard import Keyboard
from .live import BREATHER, TICK, Live, ended_by_signal
from .render.look import Look
from .render.text import Text
from .render.top import ORDERS, picture
from .screen import Screen

if TYPE_CHECKING:
    import gpulock
    from gpulock.documents import EndedView, EventView, StatusDocument

ENDS_KEPT = 100
KEY_PAUSE = 0.1
"""Seconds within which a key is heeded."""


def top(context: Context, keys: TextIO, interval: float, order: str) -> int:
    """Shows the host until q or Ctrl-C. `interval`: seconds between two questions for load and memory."""
    keyboard, screen = Keyboard(keys), Screen(context.out)
    with contextlib.suppress(KeyboardInterrupt), ended_by_signal(), screen, keyboard, _suspending(screen, keyboard):
        _Top(context, screen, keyboard, interval, order).run()
    return 0


@contextlib.contextmanager
def _suspending(screen: Screen, keyboard: Keyboard) -> Iterator[None]:
    """Ctrl-Z gives the terminal back for as long as it lasts."""

    def suspend(_number: int, _frame: object) -> None:
        keyboard.__exit__(None, None, None)
        screen.__exit__(None, None, None)
        kill(getpid(), signal.SIGSTOP)
        screen.__enter__()
        keyboard.__enter__()

    before = signal.signal(signal.SIGTSTP, suspend)
    try:
        yield
    finally:
        signal.signal(signal.SIGTSTP, before)


class _Top(Live):
    def __init__(self, context: Context, screen: Screen, keyboard: Keyboard, interval: float, order: str) -> None:
        super().__init__(context, screen)
        self._keyboard = keyboard
        self._interval = interval
        self._order = order
        self._ends: deque[EndedView] = deque(maxlen=ENDS_KEPT)
        """The latest first."""
        self._keys: dict[str, Callable[[], None]] = {"q": self._leave, "s": self._sort}

    def follow(self, client: gpulock.Client) -> None:
        changed, asked_at = True, -self._interval
        self._ends.clear()
        for event in client.watch(every=KEY_PAUSE):
            if asked_at < 0:  # only now that nothing is missed any more
                self._ends.extend(client.call("history", limit=ENDS_KEPT)["locks"])
            if event is not None:
                changed = True
                self._note(event)
            self._heed(self._keyboard.pressed())
            waited = time.monotonic() - asked_at
            if waited >= self._interval or (changed and waited >= BREATHER):
                changed, asked_at = False, time.monotonic()
                self.heard(client.status())
            else:
                self.tick()

    def picture(self, status: StatusDocument, look: Look) -> Sequence[Text]:
        return picture(status, list(self._ends), look, self._order, time.time())

    def pause(self) -> None:
        self._heed(self._keyboard.pressed(within=TICK))

    def _note(self, event: EventView) -> None:
        token = event["data"].get("token")
        if event["kind"] == "lock.ended" and all(end["token"] != token for end in self._ends):
            self._ends.appendleft(_end(event, self._status))

    def _heed(self, pressed: str) -> None:
        for key in pressed:
            if (act := self._keys.get(key)) is not None:
                act()

    def _sort(self) -> None:
        self._order = ORDERS[(ORDERS.index(self._order) + 1) % len(ORDERS)]
        self.draw()

    def _leave(self) -> None:
        raise KeyboardInterrupt


def _end(event: EventView, status: StatusDocument | None) -> EndedView:
    """What an event tells of a lock that ended, and what was known of it while it was held."""
    data: Any = event["data"]
    held = next((lock for lock in (status["locks"] if status else ()) if lock["id"] == data["lock"]), None)
    return {
        "lock": data["lock"],
        "token": data["token"],
        "gpus": data["gpus"],
        "user": data["user"],
        "uid": held["owner"]["uid"] if held else 0,
        "pid": data["pid"],
        "command": held["owner"]["command"] if held else "",
        "task": data["task"],
        "waited": data["waited"],
        "held": data["held"],
        "granted_at": event["at"] - data["held"],
        "ended_at": event["at"],
        "how": data["how"],
        "by": data["by"],
        "profile": held["profile"] if held else "",
        "container": held["owner"]["container"] if held else "",
        "watched": 0.0,
        "idle": 0.0,
        "peak_memory": None,
        "strangers": [],
    }
