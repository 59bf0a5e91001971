"""After fork() the child owns nothing: it closes the connections it inherited, and says nothing on them.

A connection that a child kept open would be the parent's still; one that it shut down would end the parent's.
"""

from __future__ import annotations

import os
import weakref

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    class Inheritable(Protocol):
        def disinherit(self) -> None:
            """Closes what this process has of it; the parent's is untouched."""


_generation = 0
_open: weakref.WeakSet[Inheritable] = weakref.WeakSet()
_resets: list[Callable[[], None]] = []


def generation() -> int:
    """Which process this is, counted in forks: an object of an earlier one belongs to an ancestor."""
    return _generation


def own(connection: Inheritable) -> None:
    """Has `connection` closed in children."""
    _open.add(connection)


def in_child(reset: Callable[[], None]) -> None:
    """Has `reset` called in every child, once its inheritance is closed."""
    _resets.append(reset)


def _forked() -> None:
    global _generation  # noqa: PLW0603  # one process, one number
    _generation += 1
    for connection in list(_open):
        connection.disinherit()
    _open.clear()
    for reset in _resets:
        reset()


os.register_at_fork(after_in_child=_forked)
