"""A man in the middle that can keep words to itself: what a daemon said last, or what it was told last."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from pathlib import Path
from types import TracebackType
from typing import Self


class Relay:
    """Hands on the bytes between clients at `path` and the daemon at `beyond`, in a thread of this process.

    To the daemon, all clients are this process. A connection ends at both sides when it ends at one.
    """

    def __init__(self, path: Path, beyond: str) -> None:
        self.path = str(path)
        self.muffled = False
        """Whether what the daemon says is dropped."""
        self.unheard: bytes | None = None
        """From the first of a client's messages that has these bytes on, the daemon hears nothing of the client, not
        even its end."""
        self._beyond = beyond
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(self.path)
        self._listener.listen()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._stop, self._stopped = socket.socketpair()
        self._selector.register(self._stopped, selectors.EVENT_READ)
        self._others: dict[socket.socket, socket.socket] = {}
        self._daemons: set[socket.socket] = set()
        self._parted: list[socket.socket] = []
        self._thread = threading.Thread(target=self._run, name="relay")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.close()
        self._thread.join()
        for end in (*self._others, *self._parted, self._listener, self._stopped):
            end.close()
        self._selector.close()

    def _run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                end = key.fileobj
                assert isinstance(end, socket.socket)
                if end is self._stopped:
                    return
                if end is self._listener:
                    self._accept()
                elif end in self._others:
                    self._hand_on(end)

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        daemon = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            daemon.connect(self._beyond)
        except OSError:
            client.close()
            daemon.close()
            return
        self._daemons.add(daemon)
        self._others |= {client: daemon, daemon: client}
        for end in (client, daemon):
            self._selector.register(end, selectors.EVENT_READ)

    def _hand_on(self, end: socket.socket) -> None:
        other = self._others[end]
        data = b""
        with contextlib.suppress(OSError):
            data = end.recv(65536)
            if end not in self._daemons and self.unheard is not None and self.unheard in data:
                self._part(end)
                return
            if not (self.muffled and end in self._daemons):
                other.sendall(data)
        if not data:
            for each in (end, other):
                self._forget(each)
                each.close()

    def _part(self, client: socket.socket) -> None:
        daemon = self._others[client]
        for each in (client, daemon):
            self._forget(each)
            self._parted.append(each)

    def _forget(self, end: socket.socket) -> None:
        self._selector.unregister(end)
        self._daemons.discard(end)
        del self._others[end]

    def part_for_good(self) -> None:
        """Ends the connections that `unheard` has frozen."""
        self.unheard = None
        for end in self._parted:
            end.close()
        self._parted.clear()
