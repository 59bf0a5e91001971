"""The daemon's side of a socket, played by the test: it expects requests and answers what the test says."""

from __future__ import annotations

import socket
import time
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from gpulock import rpc, wire
from gpulock.errors import GpulockError, to_wire

from .waiting import PATIENCE


class ScriptedPeer:
    """Listens at `path`, which it takes over from an earlier one."""

    def __init__(self, path: Path | str) -> None:
        self.path = str(path)
        Path(self.path).unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.settimeout(PATIENCE)
        self._listener.bind(self.path)
        self._listener.listen(64)
        self.callers: list[Caller] = []

    def accept(self) -> Caller:
        """The next client that connects."""
        caller = Caller(self._listener.accept()[0])
        self.callers.append(caller)
        return caller

    def nobody_calls(self, within: float = 0.1) -> bool:
        """Whether no client connects for that many seconds."""
        self._listener.settimeout(within)
        try:
            self.callers.append(Caller(self._listener.accept()[0]))
        except TimeoutError:
            return True
        finally:
            self._listener.settimeout(PATIENCE)
        return False

    def close(self) -> None:
        """As a daemon that is killed: no socket listens, and every connection is gone."""
        self._listener.close()
        for caller in self.callers:
            caller.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Caller:
    """One client, as the daemon sees it. What does not come within `PATIENCE` raises `TimeoutError`."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._socket.settimeout(PATIENCE)
        self._decoder = rpc.Decoder(64 * 1024)
        self._requests: deque[rpc.Request | rpc.Notification] = deque()

    def expect(self, method: str) -> rpc.Request:
        """The next request, which must be for `method`."""
        request = self._next()
        assert isinstance(request, rpc.Request), f"expected a request, and the client sent {request!r}"
        assert request.method == method, f"expected {method!r}, and the client sent {request!r}"
        return request

    def expect_quiet(self, method: str) -> rpc.Notification:
        """The next message, which must be a notification."""
        notified = self._next()
        assert isinstance(notified, rpc.Notification), f"expected a notification, and the client sent {notified!r}"
        assert notified.method == method, f"expected {method!r}, and the client sent {notified!r}"
        return notified

    def resume(self, marker: str = "the-marker") -> None:
        """Has the client begin anew, and passes over what it has said before it does."""
        self.notify(wire.RESUME, marker=marker)
        while not isinstance(said := self._next(), rpc.Notification) or said.method != wire.RESUMED:
            pass
        assert said.params == {"marker": marker}

    def _next(self) -> rpc.Request | rpc.Notification:
        while not self._requests:
            if not (data := self._socket.recv(65536)):
                raise EOFError("the client closed its connection, where it was to say something")
            for message in self._decoder.feed(data):
                assert isinstance(message, (rpc.Request, rpc.Notification)), f"the client sent {message!r}"
                self._requests.append(message)
        return self._requests.popleft()

    def welcome(
        self, *, locks: tuple[dict[str, Any], ...] = (), grace: float = 60.0, quiet: tuple[str, ...] = ()
    ) -> rpc.Request:
        """Expects `hello` and answers it."""
        request = self.expect("hello")
        self.answer(
            request,
            version=1,
            daemon="0",
            host="here",
            session=1,
            reattach="the-key",
            reattach_grace=grace,
            quiet=list(quiet),
            limits={},
            locks=list(locks),
        )
        return request

    def answer(self, request: rpc.Request, **result: Any) -> None:
        self.send(rpc.response(request.msgid, None, result))

    def refuse(self, request: rpc.Request, error: GpulockError) -> None:
        self.send(rpc.response(request.msgid, to_wire(error), None))

    def notify(self, method: str, **params: Any) -> None:
        self.send(rpc.notification(method, params))

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def expect_end(self) -> None:
        """Waits until the client has closed its connection, having said nothing more."""
        assert not self._requests, f"the client went on to say {list(self._requests)!r}"
        data = self._socket.recv(65536)
        assert data == b"", f"the client went on to say {list(self._decoder.feed(data))!r}"

    def says_nothing(self, within: float = 0.1) -> bool:
        """Whether the client, still connected, sends nothing for that many seconds."""
        if self._requests:
            return False
        deadline = time.monotonic() + within
        self._socket.settimeout(within)
        try:
            data = self._socket.recv(65536, socket.MSG_PEEK)
        except TimeoutError:
            return time.monotonic() >= deadline - within
        finally:
            self._socket.settimeout(PATIENCE)
        assert data, "the client closed its connection"
        return False

    def close(self) -> None:
        self._socket.close()


def grant(lock: str = "L1-1", token: int = (1 << 32) + 1, gpus: tuple[int, ...] = (0,), **more: Any) -> dict[str, Any]:
    """The answer to an `acquire`."""
    uuids = [f"GPU-0000000{index}" for index in gpus]
    return {
        "lock": lock,
        "token": token,
        "gpus": [
            {"index": index, "uuid": uuid, "name": "Simulated", "memory_total": 1 << 34}
            for index, uuid in zip(gpus, uuids, strict=True)
        ],
        "env": {
            "CUDA_VISIBLE_DEVICES": ",".join(uuids),
            "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
            "GPULOCK_LOCK": lock,
            "GPULOCK_TOKEN": str(token),
        },
        "max_hold": 3600.0,
        "nested": False,
        **more,
    }
