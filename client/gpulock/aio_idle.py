"""Connections that lie idle on an event loop, for the next `acquire` there to go without making one.

They end with the loop: `asyncio.run`, and whatever else ends its loop properly, first ends the generators that were
started on it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from . import forks
from .aio_connection import Connection
from .idle import MOST
from .version import __version__

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


class _Idle:
    """Those of one loop, by socket."""

    def __init__(self) -> None:
        self.generation = forks.generation()
        self.connections: dict[str, list[Connection]] = {}
        self.ended = False
        self.end = self._close_at_the_end()

    async def _close_at_the_end(self) -> AsyncGenerator[None]:
        try:
            yield
        finally:
            self.ended = True
            for connections in self.connections.values():
                while connections:
                    connections.pop().close()
            await asyncio.sleep(0)  # transports are closed in the next turn of the loop


_loops: dict[asyncio.AbstractEventLoop, _Idle] = {}


def new(path: str) -> Connection:
    """A connection that introduces itself as this program's."""
    return Connection(path, f"gpulock {__version__} asyncio")


def take(path: str) -> Connection:
    """One that lies idle on the running loop, or a new one that is not connected yet. It is the caller's alone."""
    idle = _loops.get(asyncio.get_running_loop())
    connections = idle.connections.get(path) if idle is not None and idle.generation == forks.generation() else None
    while connections:
        if (connection := connections.pop()).at_rest:
            return connection
        connection.close()
    return new(path)


async def keep(connection: Connection) -> None:
    """Takes it back for another use; closes it where it is of none."""
    loop = asyncio.get_running_loop()
    idle = _loops.get(loop)
    if idle is None or idle.generation != forks.generation():
        for closed in [other for other in _loops if other.is_closed()]:
            del _loops[closed]
        idle = _loops[loop] = _Idle()
        await anext(idle.end)
    kept = idle.connections.setdefault(connection.path, [])
    if connection.at_rest and not idle.ended and len(kept) < MOST:
        kept.append(connection)
    else:
        connection.close()
