"""A connection that outlives the daemon: see `roll` for what is written down of it, and when.

A descriptor of it is kept elsewhere too, so closing it here tells its client nothing: it is shut down.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Coroutine, Iterable, Iterator
from typing import TYPE_CHECKING

from gpulock import rpc, wire

from ..core.model import Owner
from .connection import Connection, Ended
from .flow import DISCONNECTED
from .resumption import PassingOver
from .roll import TORN, Stage

if TYPE_CHECKING:
    from .context import Context
    from .keeping import Keeping


_WHOLE = 16 * 1024
"""Bytes that one call sends all or none of: Linux makes one packet of them (`unix_stream_sendmsg`)."""


class KeptConnection(Connection, asyncio.BufferedProtocol):
    """Says where its bytes are to be read to, and so hears of every read before it happens."""

    __slots__ = ("_keeping", "_marks", "_parting", "_place", "_socket", "_unsent", "line", "touched")

    restart_safe = True

    def __init__(
        self,
        session: int,
        owner: Owner,
        context: Context,
        on_end: Ended,
        sock: socket.socket,
        keeping: Keeping,
        line: int,
    ) -> None:
        super().__init__(session, owner, context, on_end)
        self.line = line
        self.touched = False
        """Whether the engine may still have something of it before it."""
        self._socket = sock
        self._keeping = keeping
        self._marks = keeping.roll.marks
        self._place = keeping.roll.place(line)
        self._parting = False
        self._unsent: list[bytes] = []
        """What it is to be sent before there is a transport."""
        self._write = self._write_through

    @property
    def marked(self) -> bool:
        return self._marks[self._place] != 0

    def mark(self) -> None:
        self._marks[self._place] = 1

    def owe(self, waiting: Iterable[int]) -> None:
        """It comes from an earlier daemon, with these requests unanswered."""
        self._unanswered.update((msgid, 0) for msgid in waiting)

    def begin_anew(self) -> None:
        """It comes from an earlier daemon, which may have read of it what nobody knows: has its client say it again."""
        self._keeping.roll.begin_anew(self.line, self.session)
        self._decoder = PassingOver(wire.MAX_REQUEST_BYTES)
        self._write_through(self._decoder.asking)

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._write = self._write_through
        # Of the first byte that finds no room it is to say so, and so when the last one has: see `resume_writing`.
        self._transport.set_write_buffer_limits(high=0)
        if self._unsent and not self._ended:
            self._marks[self._place + TORN] = 1
            self._transport.write(b"".join(self._unsent))
            self._unsent.clear()
            self._keeping.see_to(self)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._keeping.see_to(self)

    def get_buffer(self, _sizehint: int) -> memoryview:
        self._marks[self._place] = 1
        return self._keeping.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.data_received(bytes(self._keeping.buffer[:nbytes]))
        if self._parting and not self._decoder.pending and not self._ended:
            self._transport.pause_reading()

    # What the methods note.

    def introduced(self, key: str, client: str, *, resumes: bool) -> None:
        self._keeping.roll.introduce(self.line, key, client, resumes=resumes)
        self._keeping.store.hasten()  # for the answer says that it is kept

    def watched(self) -> None:
        self._keeping.roll.watches(self.line)

    # Its mark.

    def settle(self) -> None:
        """A turn of the engine is over. Takes the mark away, if nothing is left that a next daemon could not know."""
        if self._ended:
            return
        self._flush()
        if (
            self._frames is None
            and not self._load
            and not self._half_closed
            and not self._decoder.pending
            and not self._unsent
            and not (self._made and self._transport.get_write_buffer_size())
        ):
            self._marks[self._place + TORN] = 0
            self._marks[self._place] = 0

    def _handle(self, frames: Iterator[rpc.Incoming]) -> bool:
        self._keeping.touch(self)
        before = len(self._unanswered)
        whole = super()._handle(frames)
        if len(self._unanswered) == before:  # otherwise the core was given something
            self._keeping.ask_for_turn()
        return whole

    def undertake(self, msgid: int, work: Coroutine[object, object, None]) -> None:
        super().undertake(msgid, work)
        self._keeping.ask_for_turn()

    def _respond(self, msgid: int, frame: bytes) -> None:
        super()._respond(msgid, frame)
        if not self.touched:  # an answer that did not come from the core
            self._keeping.see_to(self)

    def _write_through(self, data: bytes | bytearray | memoryview) -> None:
        """Writes at once, so that it is known what was sent: the transport would do it later."""
        marks, place = self._marks, self._place
        before, marks[place] = marks[place], 1
        if not self._unsent and not (self._made and self._transport.get_write_buffer_size()):
            if len(data) > _WHOLE:
                marks[place + TORN] = 1
            with contextlib.suppress(OSError):  # no room; or its end, and the transport will say so
                data = data[self._socket.send(data) :]
            if not data:
                marks[place + TORN] = 0
                marks[place] = before
                return
        if self._made:
            marks[place + TORN] = 1
            self._transport.write(data)
        else:
            self._unsent.append(bytes(data))

    # Leaving it to the next daemon.

    @property
    def restless(self) -> bool:
        """Whether something is still to be answered. A client that has not said yet what it wants may never do, and the
        next daemon will ask it as well."""
        return self.marked and not (isinstance(self._decoder, PassingOver) and self._decoder.waiting)

    def part(self) -> None:
        """Reads no more, but for the rest of a frame. What was read is still answered."""
        self._parting = True
        if self._made and not self._ended and not (self.restless and self._decoder.pending):
            self._transport.pause_reading()

    def _go_on(self) -> None:
        super()._go_on()
        if self._parting:
            self.part()

    def stop(self) -> None:
        """Leaves it as it is to the next daemon, or ends it where that one could not go on with it."""
        if self._ended:
            return
        if self.marked and not self._keeping.roll.read(self.line).resumable:
            self._finish(Stage.NONE)
            super()._end()
            return
        self._ended = True
        self._cancel()
        if self._made:
            self._transport.abort()
        else:
            self._socket.close()

    # The end.

    def _end(self, how: str = DISCONNECTED, why: str | None = None) -> None:
        if not self._ended:
            # Whoever is cut off has not let go: what it held is kept for it, should the daemon end before it is told.
            self._finish(Stage.ENDED if how == DISCONNECTED else Stage.NONE)
        super()._end(how, why)

    def _finish(self, stage: Stage) -> None:
        self._keeping.roll.move(self.line, stage)
        self._flush()
        self._keeping.release(self)
        if not self._unsent and not (self._made and self._transport.get_write_buffer_size()):
            shut(self._socket)


def shut(sock: socket.socket) -> None:
    """Ends a connection for its client, whoever else has a descriptor of it."""
    with contextlib.suppress(OSError):  # it has gone already
        sock.shutdown(socket.SHUT_RDWR)
