"""The frames of a client, by hand: for thousands of connections in one process."""

from __future__ import annotations

import contextlib
import os
import select
import socket
from abc import ABC, abstractmethod
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

import msgpack

from bench.floor import HEAD, frame

ACQUIRE, RELEASE = 2, 3
"""The numbers of the requests, by which their answers are told apart."""
_READ = 1 << 18
_EVENTS = 64


class Refused(Exception):
    """An answer that is an error."""


class Speech(ABC):
    """What to say to a server, and how to read its answers."""

    @abstractmethod
    def hello(self) -> bytes:
        """What a client says first, answered by one message; empty: nothing."""

    @abstractmethod
    def acquire(self, index: int | None = None, number: int = ACQUIRE) -> bytes:
        """`index`: of a lock of its own; None: the one that all compete for. `number`: of the request."""

    @abstractmethod
    def release(self, index: int | None = None, number: int = RELEASE) -> bytes: ...

    @abstractmethod
    def answers(self, data: bytes) -> tuple[list[int], bytes]:
        """The numbers of the requests that are answered in `data`, and what is left of it. Raises `Refused`."""


class DaemonSpeech(Speech):
    """What the client of this project says: it introduces itself, and wants to hear of the loss of its lock."""

    def hello(self) -> bytes:
        params = {"client": "gpulock bench", "reattach": os.urandom(16).hex()}
        return _packed([0, 1, "hello", [params]])

    def acquire(self, index: int | None = None, number: int = ACQUIRE) -> bytes:
        params: dict[str, Any] = {"notify": ["warning", "lost"]}
        return _packed([0, number, "acquire", [params if index is None else {**params, "gpus": [str(index)]}]])

    def release(self, index: int | None = None, number: int = RELEASE) -> bytes:  # noqa: ARG002  # a session has one lock
        return _packed([0, number, "release", []])

    def answers(self, data: bytes) -> tuple[list[int], bytes]:
        unpacker = msgpack.Unpacker(max_buffer_size=0)
        unpacker.feed(data)
        found, end = [], 0
        with contextlib.suppress(msgpack.OutOfData):
            while True:
                message = unpacker.unpack()
                end = unpacker.tell()
                if message[0] == 1:
                    if message[2] is not None:
                        raise Refused(str(message[2]))
                    found.append(message[1])
        return found, data[end:]


class FloorSpeech(Speech):
    def hello(self) -> bytes:
        return b""

    def acquire(self, index: int | None = None, number: int = ACQUIRE) -> bytes:
        return frame({"i": number, "op": "acquire", "res": f"gpu-{index or 0}"})

    def release(self, index: int | None = None, number: int = RELEASE) -> bytes:
        return frame({"i": number, "op": "release", "res": f"gpu-{index or 0}"})

    def answers(self, data: bytes) -> tuple[list[int], bytes]:
        found, at = [], 0
        while len(data) - at >= HEAD.size:
            (length,) = HEAD.unpack_from(data, at)
            if len(data) - at - HEAD.size < length:
                break
            at += HEAD.size
            found.append(msgpack.unpackb(data[at : at + length])["i"])
            at += length
        return found, data[at:]


class Crowd:
    """Connections that one process has; each has said hello."""

    def __init__(self, path: str, speech: Speech) -> None:
        self._path, self.speech = path, speech
        # `selectors` would make room for an event of every connection at each look.
        self._epoll = select.epoll()
        self._members: dict[int, socket.socket] = {}
        self._rests: dict[int, bytes] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for member in list(self._members.values()):
            self.leave(member)
        self._epoll.close()

    def join(self) -> socket.socket:
        """One more, introduced."""
        member = socket.socket(socket.AF_UNIX)
        member.connect(self._path)
        self._rests[member.fileno()] = b""
        if hello := self.speech.hello():
            member.sendall(hello)
            while not self.read(member):
                pass
        self._members[member.fileno()] = member
        self._epoll.register(member, select.EPOLLIN)
        return member

    def hold(self) -> socket.socket:
        """One more, which has the lock that all compete for: nobody had it before."""
        holder = self.wait()
        while ACQUIRE not in self.read(holder):
            pass
        return holder

    def wait(self) -> socket.socket:
        """One more, which wants that lock; what comes of that is to be heard."""
        member = self.join()
        member.sendall(self.speech.acquire())
        return member

    def read(self, member: socket.socket) -> list[int]:
        """What was answered to this one; waits for something to come."""
        data = member.recv(_READ)
        if not data:
            raise EOFError("the server closed the connection")
        number = member.fileno()
        found, self._rests[number] = self.speech.answers(self._rests[number] + data)
        return found

    def hear(self, within: float) -> Iterator[tuple[socket.socket, list[int]]]:
        """What has come for whom; raises `TimeoutError` where nothing does for `within` seconds."""
        ready = self._epoll.poll(within, _EVENTS)
        if not ready:
            raise TimeoutError(f"nothing was answered within {within:g} s")
        for number, _ in ready:
            yield self._members[number], self.read(self._members[number])

    def leave(self, member: socket.socket) -> None:
        self._epoll.unregister(member)
        del self._rests[member.fileno()], self._members[member.fileno()]
        member.close()


def _packed(message: list[Any]) -> bytes:
    packed: bytes = msgpack.packb(message)
    return packed
