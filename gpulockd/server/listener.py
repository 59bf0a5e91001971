"""Accepts connections, some at a time, and survives running out of descriptors.

It accepts by itself instead of through `create_unix_server`: a connection can then be refused before anything was
built for it, and an empty descriptor table behaves alike on every event loop.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable

from ..core.actions import Announce, Severity
from ..ports import Observer

ACCEPTS_PER_TURN = 16
"""So that a flood of connections leaves room for those that are there."""
REST = 0.2
"""Seconds to leave the door shut when no descriptor is left: the socket would stay readable and spin the loop."""
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

Admit = Callable[[socket.socket], None]
"""Takes over a connected socket. Raises `OSError` with EMFILE or the like, the socket closed, if it lacks means."""


class Listener:
    """Hands what connects to `endpoint` to `admit`."""

    def __init__(self, endpoint: socket.socket, admit: Admit, announce: Observer) -> None:
        self._endpoint = endpoint
        self._admit = admit
        self._announce = announce
        self._rest: asyncio.TimerHandle | None = None
        self._exhausted = False

    def start(self) -> None:
        """Begins to accept, on the running loop."""
        asyncio.get_running_loop().add_reader(self._endpoint, self._accept)

    def stop(self) -> None:
        """Accepts nothing more. Who connects now waits in the backlog for the next daemon, or is refused."""
        asyncio.get_running_loop().remove_reader(self._endpoint)
        if self._rest is not None:
            self._rest.cancel()

    def _accept(self) -> None:
        try:
            for _ in range(ACCEPTS_PER_TURN):
                connection, _address = self._endpoint.accept()
                connection.setblocking(False)
                self._admit(connection)
        except BlockingIOError:
            self._exhausted = False  # nobody waits any more
        except ConnectionAbortedError:
            pass  # the one who waited has gone; if there are others, the loop calls again
        except OSError as error:
            if error.errno not in _EXHAUSTED:
                raise
            self._shut(error)

    def _shut(self, error: OSError) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._endpoint)
        self._rest = loop.call_later(REST, self.start)
        if not self._exhausted:
            self._exhausted = True
            self._announce(
                Announce(
                    "server.exhausted",
                    f"no new connection can be accepted: {error.strerror}; raise LimitNOFILE= of the daemon",
                    Severity.ERROR,
                )
            )
