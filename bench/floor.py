"""The floor: a FIFO lock over a Unix socket without journal, identity or policy; what is left is what Python costs.

    python -m bench.floor SOCKET          the lock
    python -m bench.floor SOCKET --echo   the same frames, answered without any lock

A frame is four bytes of length and a MessagePack map. `{"i": 1, "op": "acquire", "res": name}` is answered when the
lock is granted, `release` at once; the end of a connection gives back what it held.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from collections import deque
from typing import Any, cast

import msgpack
import uvloop

HEAD = struct.Struct(">I")
_pack, _unpack = msgpack.packb, msgpack.unpackb


def frame(message: dict[str, Any]) -> bytes:
    body: bytes = _pack(message)
    return HEAD.pack(len(body)) + body


class Client:
    """A blocking client that waits for both answers."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(path)
        self._serial = 0

    def call(self, op: str, name: str) -> dict[str, Any]:
        self._serial += 1
        self._socket.sendall(frame({"i": self._serial, "op": op, "res": name}))
        answer: dict[str, Any] = _unpack(self._socket.recv(4096)[HEAD.size :])
        return answer

    def close(self) -> None:
        self._socket.close()


class _Lock:
    __slots__ = ("holder", "queue", "token")

    def __init__(self) -> None:
        self.holder: _Connection | None = None
        self.queue: deque[tuple[_Connection, int]] = deque()
        self.token = 0


class _Framed(asyncio.Protocol):
    """Takes frames apart; one write for the answers to everything that was read at once."""

    def __init__(self) -> None:
        self._rest = b""
        self._out: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._write = cast(asyncio.Transport, transport).write  # uvloop's are none by inheritance

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        at = 0
        while len(data) - at >= HEAD.size:
            (length,) = HEAD.unpack_from(data, at)
            if len(data) - at - HEAD.size < length:
                break
            at += HEAD.size
            self._take(_unpack(data[at : at + length]))
            at += length
        self._rest = data[at:]
        if self._out:
            self._write(b"".join(self._out))
            self._out.clear()

    def _take(self, message: dict[str, Any]) -> None:
        self._out.append(frame({"i": message["i"], "ok": True}))


class _Connection(_Framed):
    locks: dict[str, _Lock]

    def __init__(self) -> None:
        super().__init__()
        self._waits: set[str] = set()
        self._holds: set[str] = set()

    def _take(self, message: dict[str, Any]) -> None:
        name = message["res"]
        lock = self.locks.get(name)
        if lock is None:
            lock = self.locks[name] = _Lock()
        if message["op"] == "acquire":
            if lock.holder is None:
                self._out.append(self._granted(name, lock, message["i"]))
            else:
                self._waits.add(name)
                lock.queue.append((self, message["i"]))
        else:
            self._release(name, lock)
            super()._take(message)

    def _granted(self, name: str, lock: _Lock, serial: int) -> bytes:
        lock.holder = self
        lock.token += 1
        self._waits.discard(name)
        self._holds.add(name)
        return frame({"i": serial, "ok": True, "token": lock.token})

    def _release(self, name: str, lock: _Lock) -> None:
        self._holds.discard(name)
        lock.holder = None
        if lock.queue:
            waiter, serial = lock.queue.popleft()
            waiter._write(waiter._granted(name, lock, serial))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's form
        for name in self._waits:
            queue = self.locks[name].queue
            if any(waiter is self for waiter, _ in queue):
                self.locks[name].queue = deque(entry for entry in queue if entry[0] is not self)
        for name in list(self._holds):
            self._release(name, self.locks[name])


async def _serve(path: str, echo: bool) -> None:
    _Connection.locks = {}
    kind = _Framed if echo else _Connection
    server = await asyncio.get_running_loop().create_unix_server(kind, path, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(sys.argv[1], "--echo" in sys.argv))
