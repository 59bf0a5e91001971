"""The connection to the daemon: requests, and the events of a watch."""

from __future__ import annotations

import select
import socket
import time
from collections import deque
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from gpulock import rpc, wire
from gpulock.errors import DaemonUnavailable, from_wire

if TYPE_CHECKING:
    from gpulock.documents import EventView

PATIENCE = 10.0
"""Seconds to wait for an answer: the daemon answers questions from memory."""


class Connection:
    """One connection. Raises `DaemonUnavailable` where the daemon cannot be reached, is silent or goes away."""

    def __init__(self, path: str, patience: float = PATIENCE) -> None:
        self._path = path
        self._patience = patience
        self._decoder = rpc.Decoder(wire.MAX_REPLY_BYTES)
        self._msgid = 0
        self._responses: dict[int, rpc.Response] = {}
        self._events: deque[EventView] = deque()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(patience)
        try:
            self._socket.connect(path)
        except OSError as error:
            self._socket.close()
            raise DaemonUnavailable(f"no daemon answers at {path}: {_reason(error)}", hint=_way_out(error)) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def call(self, method: str, **params: object) -> Any:
        """The result of a request. Raises the error that the daemon answered."""
        self._msgid += 1
        deadline = time.monotonic() + self._patience
        try:
            self._socket.sendall(rpc.request(self._msgid, method, params))
        except OSError as error:
            raise self._gone(_reason(error)) from None
        while self._msgid not in self._responses:
            if not self._read(deadline - time.monotonic()):
                raise self._gone(f"{method!r} was not answered within {self._patience:g} s")
        response = self._responses.pop(self._msgid)
        if response.error is not None:
            raise from_wire(response.error)
        return response.result

    def events(self, within: float | None) -> list[EventView]:
        """What has happened since the last call; waits for the first event, at most `within` seconds."""
        deadline = None if within is None else time.monotonic() + within
        while not self._events:
            if not self._read(None if deadline is None else deadline - time.monotonic()):
                break
        events = list(self._events)
        self._events.clear()
        return events

    def _read(self, within: float | None) -> bool:
        """Takes in what has come; False: nothing did in time."""
        try:
            if not select.select([self._socket], [], [], None if within is None else max(0.0, within))[0]:
                return False
            data = self._socket.recv(1 << 16)
        except OSError as error:
            raise self._gone(_reason(error)) from None
        if not data:
            raise self._gone("it closed the connection")
        for message in self._decoder.feed(data):
            if isinstance(message, rpc.Response):
                self._responses[message.msgid] = message
            elif isinstance(message, rpc.Notification) and message.method == "event":
                self._events.append(message.params)  # type: ignore[arg-type]
        return True

    def _gone(self, why: str) -> DaemonUnavailable:
        return DaemonUnavailable(f"the daemon at {self._path} does not answer: {why}", hint="gpulockctl doctor")


def _reason(error: OSError) -> str:
    return "timed out" if isinstance(error, TimeoutError) else error.strerror or str(error)


def _way_out(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return "you may not use the socket; gpulockctl doctor says which group may"
    return "gpulockctl doctor says what is missing"
