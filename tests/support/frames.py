"""The protocol by hand: MessagePack-RPC over a socket with nothing of `gpulock` in between."""

from __future__ import annotations

import itertools
import socket
from collections import deque
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import msgpack

from .waiting import PATIENCE


class WireError(Exception):
    """The `error` member of a response."""

    def __init__(self, fault: Mapping[str, Any]) -> None:
        super().__init__(f"{fault.get('code')}: {fault.get('message')}")
        self.code = fault.get("code")
        self.fault = fault


class Frames:
    """One connection that speaks frames.

    A read that takes longer than `patience` seconds raises `TimeoutError`; the end of the connection raises
    `EOFError`.
    """

    def __init__(self, path: str, *, patience: float = PATIENCE) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(patience)
        try:
            self.socket.connect(path)
        except OSError:
            self.socket.close()
            raise
        self._unpacker = msgpack.Unpacker(strict_map_key=False)
        self._msgids = itertools.count(1)
        self._responses: dict[int, tuple[Any, Any]] = {}
        self.notifications: deque[tuple[str, dict[str, Any]]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def send(self, method: str, **params: Any) -> int:
        """Sends a request and returns its message id."""
        msgid = next(self._msgids)
        self.socket.sendall(msgpack.packb([0, msgid, method, [params] if params else []]))
        return msgid

    def receive(self, msgid: int) -> Any:
        """The result of request `msgid`; raises `WireError` for an error."""
        while msgid not in self._responses:
            self._read()
        fault, result = self._responses.pop(msgid)
        if fault is not None:
            raise WireError(fault)
        return result

    def call(self, method: str, **params: Any) -> Any:
        return self.receive(self.send(method, **params))

    def notified(self, method: str) -> dict[str, Any]:
        """The next notification, which must be `method`."""
        while not self.notifications:
            self._read()
        name, params = self.notifications.popleft()
        assert name == method, f"expected a {method!r} notification, got {name!r} {params!r}"
        return params

    def _read(self) -> None:
        data = self.socket.recv(65536)
        if not data:
            raise EOFError("the peer closed the connection")
        self._unpacker.feed(data)
        for message in self._unpacker:
            match message:
                case [1, msgid, fault, result]:
                    self._responses[msgid] = (fault, result)
                case [2, method, [params]]:
                    self.notifications.append((method, params))
                case _:
                    raise AssertionError(f"neither response nor notification: {message!r}")
