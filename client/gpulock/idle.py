"""Connections that lie idle in this process, for the next `acquire` to go without making one."""

from __future__ import annotations

import atexit

from . import forks
from .connection import Connection
from .version import __version__

MOST = 8
"""Kept for each socket; more are closed."""

_idle: dict[str, list[Connection]] = {}


def take(path: str) -> Connection:
    """One that lies idle, or a new one that is not connected yet. It is the caller's alone."""
    try:
        return _idle[path].pop()
    except (KeyError, IndexError):
        return new(path)


def new(path: str) -> Connection:
    """A connection that introduces itself as this program's."""
    return Connection(path, f"gpulock {__version__}")


def keep(connection: Connection) -> None:
    """Takes it back for another use; closes it where it is of none."""
    kept = _idle.setdefault(connection.path, [])
    if connection.session.phase == "idle" and connection.link is not None and len(kept) < MOST:
        kept.append(connection)
    else:
        connection.close()


def close_all() -> None:
    """Keeps none any longer."""
    for connections in _idle.values():
        while connections:
            connections.pop().close()


forks.in_child(_idle.clear)
atexit.register(close_all)
