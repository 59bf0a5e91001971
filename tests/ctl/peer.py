"""A peer on a Unix socket that answers as it is told to, in place of the daemon."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from gpulock import rpc, wire
from gpulock.errors import GpulockError, UnknownMethod, to_wire
from tests.support.waiting import PATIENCE

Answer = Mapping[str, Any] | GpulockError | Callable[[Mapping[str, Any]], Mapping[str, Any]]


HELLO = {
    "version": 1,
    "daemon": "gpulockd 0.1.0",
    "host": "gpu-07",
    "session": 1,
    "reattach": "a-key",
    "reattach_grace": 60.0,
    "limits": {},
    "locks": [],
}


class Peer:
    """Answers every request with what `answers` has for its method, and keeps the requests in `asked`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.answers: dict[str, Answer] = {"hello": HELLO, "watch": {}}
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.connections: list[socket.socket] = []
        self._watchers: list[socket.socket] = []
        self._changed = threading.Condition()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.hang_up()
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()

    def hang_up(self) -> None:
        """Ends every connection."""
        with self._changed:
            for connection in self.connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            self._watchers.clear()

    def happen(self, kind: str, message: str, severity: str = "info", at: float = 0.0, **data: object) -> None:
        """Notifies those who watch; waits until there is one."""
        event = {"kind": kind, "message": message, "severity": severity, "at": at, "data": data}
        with self._changed:
            assert self._changed.wait_for(lambda: self._watchers, PATIENCE), "nobody watches"
            for watcher in self._watchers:
                watcher.sendall(rpc.notification("event", event))

    def wait_for(self, method: str, times: int) -> None:
        """Until `method` was asked so many times."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.count(method) >= times, PATIENCE), self.asked

    def count(self, method: str) -> int:
        return sum(name == method for name, _ in self.asked)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._changed:
                self.connections.append(connection)
                thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, connection: socket.socket) -> None:
        decoder = rpc.Decoder(wire.MAX_REQUEST_BYTES)
        with connection:
            while data := _received(connection):
                for message in decoder.feed(data):
                    assert isinstance(message, rpc.Request), message
                    self._reply(connection, message)
            with self._changed:
                if connection in self._watchers:
                    self._watchers.remove(connection)

    def _reply(self, connection: socket.socket, request: rpc.Request) -> None:
        answer = self.answers.get(request.method, UnknownMethod(f"no answer to {request.method!r} was given"))
        if callable(answer):
            answer = answer(request.params)
        with self._changed:
            self.asked.append((request.method, dict(request.params)))
            if isinstance(answer, GpulockError):
                connection.sendall(rpc.response(request.msgid, to_wire(answer), None))
            else:
                connection.sendall(rpc.response(request.msgid, None, answer))
            if request.method == "watch":
                self._watchers.append(connection)
            self._changed.notify_all()


def _received(connection: socket.socket) -> bytes:
    try:
        return connection.recv(1 << 16)
    except OSError:
        return b""
