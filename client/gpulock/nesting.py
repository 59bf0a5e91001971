"""Which lock the caller runs under already, so that it never waits for itself.

A lock is known to the thread or task that acquired it and to what that starts in its context; to other processes
by `$GPULOCK_LOCK`.
"""

from __future__ import annotations

import os
from contextvars import ContextVar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any
    from weakref import ref

    from .notices import Loss, Warned


class Tenure:
    """The time for which this process holds a lock; a nested lock shares that of the outer one."""

    __slots__ = ("asked", "ended", "interrupts", "lock", "loss", "outer", "owner")

    def __init__(self, lock: str, owner: ref[Any] | None) -> None:
        self.lock = lock
        self.owner = owner
        """The `Lock` that holds it; None where that is in another process."""
        self.outer = current()
        self.loss: Loss | None = None
        self.asked: Warned | None = None
        """The notice that asked its task to finish."""
        self.interrupts: list[Callable[[], object]] = []
        """What else that is to call, from any thread."""
        self.ended = False

    def ask_to_finish(self, notice: Warned) -> None:
        """A daemon that was restarted asks again: it has been heard already."""
        if self.asked is None:
            self.asked = notice
            for interrupt in self.interrupts.copy():
                interrupt()


_current: ContextVar[Tenure | None] = ContextVar("gpulock", default=None)


def current() -> Tenure | None:
    """The innermost lock that this context holds."""
    tenure = _current.get()
    while tenure is not None and tenure.ended:
        tenure = tenure.outer
    return tenure


def find(lock: str) -> Tenure | None:
    """That of a lock which this context holds."""
    tenure = current()
    while tenure is not None and tenure.lock != lock:
        tenure = tenure.outer
    return tenure


def enter(tenure: Tenure) -> None:
    _current.set(tenure)


def leave(tenure: Tenure) -> None:
    """It has ended, in whatever context; others find that out when they look."""
    tenure.ended = True
    if _current.get() is tenure:
        _current.set(tenure.outer)


def within() -> str | None:
    """The id of the lock that a request from here is nested in."""
    tenure = current()
    return os.environ.get("GPULOCK_LOCK") if tenure is None else tenure.lock
