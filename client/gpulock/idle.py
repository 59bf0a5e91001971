"""Connections that lie idle in this process, for the next `acquire` to go without making one."""

from __future__ import annotations

import atexit

from . import forks, watcher
from .connection import Connection, complain, new
from .notices import ReleaseFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .notices import Notice

MOST = 8
"""Kept for each socket; more are closed."""

_idle: dict[str, list[watcher.Watch]] = {}
"""Whoever takes one out owns it; until then the watcher may attend to it, and even lose its connection."""


def take(path: str) -> Connection:
    """One that lies idle, or a new one that is not connected yet. It is the caller's alone."""
    kept = _idle.get(path)
    while kept:
        try:
            watch = kept.pop()
        except IndexError:
            break  # another thread was faster
        connection = watch.connection
        with connection.mutex:
            session, watch.idle = connection.session, False
            if session.ready:
                watcher.forget(watch)
                if connection.link is not None or session.doubtful:
                    return connection
            # Otherwise the watcher goes on to tell the next daemon what this one did not hear.
    return new(path)


def keep(watch: watcher.Watch) -> None:
    """Takes a connection back for another use; ends it where it is of none. Its mutex must be held.

    While its daemon may yet end without having taken in a release, it is under watch.
    """
    connection, session = watch.connection, watch.connection.session
    kept = _idle.setdefault(connection.path, [])
    if connection.link is not None and len(kept) < MOST:
        watch.tell, watch.idle = _hear, True
        if session.unproven or session.resuming:
            watcher.watch(watch)
        else:
            watcher.forget(watch)
        kept.append(watch)
    elif session.releasing:
        watcher.watch(watch)  # which ends it, once that is answered
    else:
        watcher.forget(watch)
        connection.close()
        if session.phase == "leaving":
            connection.lose_contact()
            watcher.watch(watch)


def full(path: str) -> bool:
    """Whether no more would be kept."""
    return len(_idle.get(path, ())) >= MOST


def _hear(notice: Notice) -> None:
    if isinstance(notice, ReleaseFailed):
        complain(notice)


def close_all() -> None:
    """Keeps none any longer."""
    for kept in _idle.values():
        while kept:
            watch = kept.pop()
            with watch.connection.mutex:
                watcher.forget(watch)
                watch.connection.close()


forks.in_child(_idle.clear)
atexit.register(close_all)
