"""The flow of one client's connection: how much is read, kept and written, and when it ends. This is the hot path.

What it holds itself to, so that no client can hurt another:

1. A turn of the event loop handles at most `BURST` frames of one connection; the others come first then.
2. Unanswered requests fill a `WINDOW`, by their method's cost, and answers that the client does not read fill the
   write buffer. While either is full, nothing more is read or decoded: what a client can make the daemon keep is one
   read's bytes, one window of answers, and `HIGH_WATER`.
3. Notifications cannot wait for a client to read. One that leaves `MAX_UNREAD` bytes of them unread is cut off.
4. What it keeps beyond that counts for its user: half a frame, and answers above `HIGH_WATER`. A connection that would
   bring its user over the limit of `Buffers` is cut off.
5. The end of the connection is the end of the session, whoever brought it about. A client that closes its sending
   side only is still sent the answers that are due within `LINGER`; a lock that waits is not among them.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Iterator
from typing import cast

from gpulock import rpc, wire
from gpulock.errors import ProtocolError

from . import faults
from .buffers import Buffers

BURST = 16
"""Frames. A larger one saves nothing that can be measured."""
WINDOW = 64
"""Four questions, or so many commands; see the costs in `methods`."""
HIGH_WATER = 64 * 1024
"""Bytes. It is 0 for a connection that outlives the daemon: see `kept`."""
MAX_UNREAD = 1024 * 1024
"""Bytes."""
LINGER = 5.0
"""Seconds."""

DISCONNECTED = "disconnected"
CUT_OFF = "cut-off"
"""How a session has ended: by its client, or by the daemon, without its client's doing or knowledge."""


class Flow(asyncio.BaseProtocol):
    """What is to be done with a message, and what has to be told of the end, is said by those below."""

    __slots__ = (
        "_buffers",
        "_decoder",
        "_ended",
        "_frames",
        "_half_closed",
        "_held",
        "_kept",
        "_load",
        "_made",
        "_outbox",
        "_read",
        "_transport",
        "_uid",
        "_unanswered",
        "_unread",
        "_unwritable",
        "_waking",
        "_write",
    )

    def __init__(self, uid: int, buffers: Buffers) -> None:
        self._uid = uid
        self._buffers = buffers
        self._decoder = rpc.Decoder(wire.MAX_REQUEST_BYTES)
        self._frames: Iterator[rpc.Incoming] | None = None
        self._unanswered: dict[int, int] = {}
        """The cost of each request, by its number."""
        self._load = 0
        """What they cost together."""
        self._outbox: list[bytes] = []
        self._unread = 0
        self._read = 0
        """How many bytes came in the last read of which not every frame has been looked at."""
        self._kept = 0
        """Bytes that count for its user."""
        self._held = False
        self._waking = False
        self._unwritable = False
        self._half_closed = False
        self._made = False
        self._ended = False

    def _take(self, message: rpc.Incoming) -> None:
        raise NotImplementedError

    def _over(self, how: str, why: str | None) -> None:
        """It has ended; `why` is for the log."""
        raise NotImplementedError

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=HIGH_WATER)
        self._write = self._transport.write
        self._made = True
        if self._ended:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._ended:
            return
        try:
            self._frames = frames = iter(self._decoder.feed(data))
        except ProtocolError as error:
            self._reject(error)
            return
        whole = self._handle(frames)
        if not whole or self._kept or self._decoder.pending:
            self._count(len(data))

    def eof_received(self) -> bool:
        if (self._held or self._load) and not _hung_up(self._transport):
            self._half_closed = True
            asyncio.get_running_loop().call_later(LINGER, self._end)
        else:
            self._end()
        return True

    def pause_writing(self) -> None:
        self._unwritable = True
        # Only then has a loop that collects what is written tried to be rid of it: a large answer is no fault.
        asyncio.get_running_loop().call_soon(self._count)

    def resume_writing(self) -> None:
        self._unwritable = False
        self._unread = 0
        self._count()
        self._wake()

    def connection_lost(self, _exc: Exception | None) -> None:
        self._end()

    # In.

    def _handle(self, frames: Iterator[rpc.Incoming]) -> bool:
        """Handles what frames there are, or as many as this turn of the loop has room for. Whether these were all."""
        left = BURST
        try:
            for message in frames:
                self._take(message)
                left -= 1
                if not left or self._load >= WINDOW or self._unwritable or self._ended:
                    self._hold()
                    return False
        except ProtocolError as error:
            self._reject(error)
            return True
        self._frames = None
        return True

    # Out.

    def notice(self, frame: bytes) -> None:
        if self._ended:
            return
        if self._unwritable:
            self._unread += len(frame)
            if self._unread > MAX_UNREAD:
                self._end(CUT_OFF, "it does not read what it is sent")
                self._transport.abort()
                return
        self._send(frame)
        if self._unwritable:
            self._count()

    def _send(self, frame: bytes) -> None:
        """Writes `frame`, together with the others of this turn where more are to be expected.

        One write for sixteen answers costs a fifth of sixteen writes; one for a single answer must not wait.
        """
        if self._unanswered:
            if not self._outbox:
                asyncio.get_running_loop().call_soon(self._flush)
            self._outbox.append(frame)
        elif self._outbox:
            self._outbox.append(frame)
            self._flush()
        else:
            self._write(frame)

    def _flush(self) -> None:
        if self._outbox:
            self._write(b"".join(self._outbox))
            self._outbox.clear()

    # What is kept.

    def _count(self, read: int | None = None) -> None:
        """Has its user's account right, and ends where that is overdrawn. `read`: how many bytes have just come."""
        if self._ended:
            return
        if read is not None:
            self._read = read
        kept = self._decoder.pending if self._frames is None else self._read
        if self._unwritable:
            kept += self._transport.get_write_buffer_size()
        before, self._kept = self._kept, kept
        if not self._buffers.change(self._uid, before, kept):
            self._overdraw()

    def _overdraw(self) -> None:
        excess = faults.overdrawn(self._uid, self._buffers.limit)
        if self._unwritable:  # it would not read why
            self._end(CUT_OFF, excess.message)
            self._transport.abort()
        else:
            self._outbox.append(faults.frame(excess))
            self._end(CUT_OFF, excess.message)

    # Holding back, and going on.

    def _hold(self) -> None:
        if not self._held and not self._ended:
            self._held = True
            self._transport.pause_reading()
        self._wake()

    def _wake(self) -> None:
        """Goes on in the next turn of the loop, if there is room again."""
        if self._waking or self._ended or self._unwritable or self._load >= WINDOW:
            return
        if self._held or self._half_closed:
            self._waking = True
            asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        self._waking = False
        self._flush()
        if self._ended or self._unwritable or self._load >= WINDOW:
            return
        if self._frames is not None and self._handle(self._frames):
            self._count()
        if self._frames is None and self._held and not self._ended:
            self._held = False
            if not self._half_closed:
                self._transport.resume_reading()
        if self._half_closed and not self._held and not self._load:
            self._end()

    # The end.

    def _reject(self, error: ProtocolError) -> None:
        """Says what was wrong to a client whose next byte cannot be understood, and ends the connection."""
        self._outbox.append(faults.frame(error))
        self._end(CUT_OFF)

    def _end(self, how: str = DISCONNECTED, why: str | None = None) -> None:
        """Ends the session now, and the connection once what is written has been read or `LINGER` has passed."""
        if self._ended:
            return
        self._ended = True
        self._frames = None
        self._buffers.change(self._uid, self._kept, 0)
        self._over(how, why)
        if self._made:
            self._flush()
            self._transport.close()
            if self._transport.get_write_buffer_size():
                asyncio.get_running_loop().call_later(LINGER, self._transport.abort)


def _hung_up(transport: asyncio.Transport) -> bool:
    """Whether the peer has closed its socket for good, or ended; not just the sending side of it."""
    poll = select.poll()
    poll.register(transport.get_extra_info("socket"), 0)
    return any(event & select.POLLHUP for _, event in poll.poll(0))
