"""The connected clients by session number: what the engine says goes to the right one.

A session that has ended is passed over without a word: the core's answer and the client's leaving may cross.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from gpulock import rpc

from ..core.actions import Notify, Refusal
from .connection import Connection

_logger = logging.getLogger(__name__)


class Sessions:
    """Implements `ports.Clients`."""

    def __init__(self) -> None:
        self._connections: dict[int, Connection] = {}

    def __len__(self) -> int:
        return len(self._connections)

    def add(self, connection: Connection) -> None:
        self._connections[connection.session] = connection

    def remove(self, session: int) -> bool:
        """Whether it was there: a session that the core disconnected is not, and is not news to it."""
        return self._connections.pop(session, None) is not None

    def answer(self, session: int, msgid: int, result: Mapping[str, object]) -> None:
        if (connection := self._connections.get(session)) is not None:
            connection.answer(msgid, result)

    def refuse(self, session: int, msgid: int | None, refusal: Refusal) -> None:
        if (connection := self._connections.get(session)) is not None:
            connection.refuse(msgid, refusal)

    def notify(self, notice: Notify) -> None:
        if (connection := self._connections.get(notice.session)) is None:
            return
        try:
            frame = rpc.notification(notice.method, notice.params)
        except (TypeError, ValueError, OverflowError):
            _logger.exception("a notification %s cannot be encoded", notice.method)
            return
        connection.notice(frame)

    def disconnect(self, session: int) -> None:
        if (connection := self._connections.pop(session, None)) is not None:
            connection.disconnect()

    def disconnect_all(self) -> None:
        """The daemon stops. No session is reported closed: what they hold is in the journal, to be reattached."""
        connections, self._connections = self._connections, {}
        for connection in connections.values():
            connection.stop()
