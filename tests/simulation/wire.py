"""A simulated Unix socket between a worker and its daemon: bytes that arrive later, in order, cut anywhere.

The kernel keeps what was written when the writer dies; an end that was closed is noticed by the other one.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from .schedule import Schedule

if TYPE_CHECKING:
    from .loop import SimulatedLoop

TRANSIT = 0.001
"""Seconds within which bytes are at the other end."""
_CONNECTED, _KEPT_OPEN = os.pipe()
_HUNG_UP, _CLOSED = os.pipe()
os.close(_CLOSED)
"""What a connection asks the kernel itself about its socket, the kernel answers of these two."""


class Peer(Protocol):
    """The worker's end."""

    def heard(self, wire: Wire, data: bytes) -> None: ...

    def hung_up(self, wire: Wire) -> None: ...


class Wire(asyncio.Transport):
    """Both ends in one: for the daemon it is the transport of a connection."""

    def __init__(self, schedule: Schedule, peer: Peer, pid: int, uid: int) -> None:
        super().__init__()
        self.pid = pid
        self.uid = uid
        self._schedule = schedule
        self._peer = peer
        self._loop: SimulatedLoop | None = None
        self._protocol: asyncio.Protocol | None = None
        self._inbound: list[bytes] = []
        """What the worker wrote and the daemon has not read."""
        self._inbound_at = self._outbound_at = 0.0
        self._reading = False
        self._closed_here = False
        """By the daemon, or by its death."""
        self._closed_there = False
        self._told_eof = False

    # The worker's end.

    def send(self, data: bytes) -> None:
        if self._closed_here or not data:
            return
        if len(data) > 1 and self._schedule.odds(0.1):
            cut = self._schedule.chance.randrange(1, len(data))
            self._carry(data[:cut])
            data = data[cut:]
        self._carry(data)

    def hang_up(self) -> None:
        """The worker closes its end, or its last process that had it has died."""
        if not self._closed_there:
            self._closed_there = True
            self._carry(b"")

    # Between them.

    def _carry(self, data: bytes) -> None:
        """To the daemon, in the order of writing."""
        self._inbound_at = max(self._inbound_at, self._schedule.now) + TRANSIT * self._schedule.chance.random()
        self._schedule.at(self._inbound_at, self._arrives, data)

    def _arrives(self, data: bytes) -> None:
        if not self._closed_here:
            self._inbound.append(data)
            self._feed()

    def _feed(self) -> None:
        """Has the daemon's loop read, if it wants to."""
        if self._loop is not None and self._reading and self._inbound:
            self._loop.call_soon(self._read)

    def _read(self) -> None:
        if self._closed_here or not self._reading or not self._inbound or self._protocol is None:
            return
        data = self._inbound.pop(0)
        if data:
            self._protocol.data_received(data)
        else:
            self._protocol.eof_received()
        self._feed()

    # The daemon's end: what a `Connection` calls.

    def adopt(self, loop: SimulatedLoop, protocol: asyncio.Protocol) -> None:
        self._loop, self._protocol, self._reading = loop, protocol, True
        protocol.connection_made(self)
        self._feed()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self._closed_here:
            self._deliver(self._peer_hears, bytes(data))

    def close(self) -> None:
        if not self._closed_here:
            self._closed_here = True
            self._deliver(self._peer_loses)

    def abort(self) -> None:
        self.close()

    def is_closing(self) -> bool:
        return self._closed_here

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        self._reading = True
        self._feed()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """A worker reads what it is sent, sooner or later."""

    def get_write_buffer_size(self) -> int:
        return 0

    def get_extra_info(self, name: str, default: object = None) -> object:
        return (_HUNG_UP if self._closed_there else _CONNECTED) if name == "socket" else default

    def _deliver(self, tell: Callable[..., None], *arguments: object) -> None:
        """In the order of writing."""
        now = self._loop.time() if self._loop is not None else self._schedule.now
        self._outbound_at = max(self._outbound_at, now) + TRANSIT * self._schedule.chance.random()
        self._schedule.at(self._outbound_at, tell, *arguments)

    def _peer_hears(self, data: bytes) -> None:
        if not self._closed_there:
            self._peer.heard(self, data)

    def _peer_loses(self) -> None:
        if not self._closed_there:
            self._closed_there = True
            self._peer.hung_up(self)
