"""One client's connection: frames in, requests to the core, answers out. This is the hot path.

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

What a client hears when it does not keep to the protocol:

- an error response, where its request has a message id: unknown method, bad parameters, no permission. The
  connection goes on. So it does after a notification that is no `release`: that is answered by one named `error`,
  because it must not seem to have worked.
- a notification `error` with the same map `{code, message, hint, data}`, and then the end, where nothing that
  follows could be trusted: bytes that are no MessagePack or no message, a frame over the limit, a response (the
  daemon asks nothing).
"""

from __future__ import annotations

import asyncio
import logging
import select
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import TYPE_CHECKING, cast

from gpulock import rpc, wire
from gpulock.errors import GpulockError, ProtocolError, to_wire

from ..core.actions import Refusal, Refused
from ..core.model import Owner
from . import faults
from .methods import METHODS, Access, release_quietly

if TYPE_CHECKING:
    from .context import Context

BURST = 16
"""Frames. A larger one saves nothing that can be measured."""
WINDOW = 64
"""Four questions, or so many commands; see the costs in `methods`."""
HIGH_WATER = 64 * 1024
"""Bytes."""
MAX_UNREAD = 1024 * 1024
"""Bytes."""
LINGER = 5.0
"""Seconds."""
_ADMINISTRATOR = Access.ADMINISTRATOR  # looking a member up in its class is slow, and done for every request
_UNENCODABLE = (TypeError, ValueError, OverflowError)

DISCONNECTED = "disconnected"
CUT_OFF = "cut-off"
"""How a session has ended: by its client, or by the daemon, without its client's doing or knowledge."""
Ended = Callable[["Connection", str, str | None], None]
"""Told once that a session has ended: how, and what the log should say about it."""

_logger = logging.getLogger(__name__)


class Connection(asyncio.BaseProtocol):
    restart_safe = False
    """Whether it outlives the daemon: see `kept`."""

    __slots__ = (
        "_context",
        "_decoder",
        "_ended",
        "_frames",
        "_half_closed",
        "_held",
        "_kept",
        "_load",
        "_made",
        "_on_end",
        "_outbox",
        "_read",
        "_tasks",
        "_transport",
        "_unanswered",
        "_unread",
        "_unwritable",
        "_waking",
        "_write",
        "key",
        "owner",
        "session",
    )

    def __init__(self, session: int, owner: Owner, context: Context, on_end: Ended) -> None:
        self.session = session
        self.owner = owner
        self.key = f"{owner.process.pid} {owner.process.start_time} {owner.process.boot_id}"
        self._context = context
        self._on_end = on_end
        self._decoder = rpc.Decoder(wire.MAX_REQUEST_BYTES)
        self._frames: Iterator[rpc.Incoming] | None = None
        self._unanswered: dict[int, int] = {}
        self._load = 0
        self._outbox: list[bytes] = []
        self._unread = 0
        self._read = 0
        """How many bytes came in the last read of which not every frame has been looked at."""
        self._kept = 0
        """Bytes that count for its user."""
        self._tasks: set[asyncio.Task[None]] | None = None
        self._held = False
        self._waking = False
        self._unwritable = False
        self._half_closed = False
        self._made = False
        self._ended = False

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

    # What the core and the methods have to say.

    def answer(self, msgid: int, result: Mapping[str, object]) -> None:
        try:
            frame = rpc.response(msgid, None, result)
        except _UNENCODABLE:
            _logger.exception("an answer of session %d cannot be encoded", self.session)
            self._fail(msgid, faults.internal())
            return
        if len(frame) > wire.MAX_REPLY_BYTES:
            self._fail(msgid, faults.too_long(len(frame)))
            return
        self._respond(msgid, frame)

    def refuse(self, msgid: int | None, refusal: Refusal) -> None:
        fault = {
            "code": refusal.code,
            "message": refusal.message,
            "hint": refusal.hint,
            "data": dict(refusal.data),
        }
        self._failed(msgid, fault)

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

    def undertake(self, msgid: int, work: Coroutine[object, object, None]) -> None:
        if self._tasks is None:
            self._tasks = set()
        task = asyncio.get_running_loop().create_task(self._see_through(msgid, work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: work.close())  # where it was cancelled before it began

    def disconnect(self) -> None:
        """Ends the connection of a session that has ended already."""
        self._end()

    def stop(self) -> None:
        """The daemon ends, and the connection with it."""
        self._end()

    def introduced(self, key: str, client: str) -> None:
        """Its session has this key, by digest, and this name for people."""

    def watched(self) -> None:
        """Its session hears of events from now on."""

    # Frames in.

    def _handle(self, frames: Iterator[rpc.Incoming]) -> bool:
        """Handles what frames there are, or as many as this turn of the loop has room for. Whether these were all."""
        left = BURST
        try:
            for message in frames:
                if type(message) is rpc.Request:
                    self._perform(message.msgid, message.method, message.params)
                elif type(message) is rpc.Notification and message.method == "release":
                    self._release(message.params)
                else:
                    self._put_right(message)
                left -= 1
                if not left or self._load >= WINDOW or self._unwritable or self._ended:
                    self._hold()
                    return False
        except ProtocolError as error:
            self._reject(error)
            return True
        self._frames = None
        return True

    def _perform(self, msgid: int, name: str, params: Mapping[object, object]) -> None:
        method = METHODS.get(name)
        if method is None:
            self._turn_down(msgid, faults.unknown_method(name))
        elif msgid in self._unanswered:
            self._turn_down(msgid, faults.duplicate(msgid))
        elif method.access is _ADMINISTRATOR and not self.owner.admin:
            self._turn_down(msgid, faults.not_permitted(name, self.owner))
        else:
            self._unanswered[msgid] = method.cost
            self._load += method.cost
            try:
                method.perform(self._context, self, msgid, wire.read(method.parameters, params))
            except Exception as error:  # noqa: BLE001  # whatever it is, the client hears of it
                self._fail(msgid, _told(error, name))

    def _release(self, params: Mapping[object, object] | None) -> None:
        """One that came as a notification: nothing is answered, unless it fails."""
        try:
            if params is None:
                raise faults.unnamed("release")
            release_quietly(self._context, self, wire.read(wire.Release, params))
        except Exception as error:  # noqa: BLE001  # as above
            self._fail(None, _told(error, "release"))

    def _put_right(self, message: rpc.Incoming) -> None:
        match message:
            case rpc.BadRequest(msgid, error):
                self._turn_down(msgid, error)
            case rpc.Notification(method, _):
                self._send(faults.frame(faults.no_reply(method)))
            case _:
                raise faults.unasked()

    async def _see_through(self, msgid: int, work: Coroutine[object, object, None]) -> None:
        try:
            await work
        except Refused as refused:
            self.refuse(msgid, refused.refusal)
        except GpulockError as error:
            self._fail(msgid, error)
        except Exception:
            _logger.exception("a request of session %d failed", self.session)
            self._fail(msgid, faults.internal())

    # Answers out.

    def _turn_down(self, msgid: int, error: GpulockError) -> None:
        """Answers what never became a request. An earlier one of the same number stays unanswered."""
        self._send(rpc.response(msgid, to_wire(error), None))

    def _fail(self, msgid: int | None, error: GpulockError) -> None:
        self._failed(msgid, to_wire(error))

    def _failed(self, msgid: int | None, fault: Mapping[str, object]) -> None:
        if msgid is not None:
            self._respond(msgid, rpc.response(msgid, fault, None))
        elif not self._ended:
            self._send(rpc.notification(wire.RELEASE_FAILED, fault))

    def _respond(self, msgid: int, frame: bytes) -> None:
        if self._ended:
            return
        self._load -= self._unanswered.pop(msgid, 0)
        self._send(frame)
        if self._held or self._half_closed:
            self._wake()

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
        if not self._context.buffers.change(self.owner.uid, before, kept):
            self._overdraw()

    def _overdraw(self) -> None:
        excess = faults.overdrawn(self.owner.uid, self._context.buffers.limit)
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
        for task in self._tasks or ():
            task.cancel()
        self._context.buffers.change(self.owner.uid, self._kept, 0)
        self._on_end(self, how, why)
        if self._made:
            self._flush()
            self._transport.close()
            if self._transport.get_write_buffer_size():
                asyncio.get_running_loop().call_later(LINGER, self._transport.abort)


def _told(error: Exception, name: str) -> GpulockError:
    """What a client is told of what went wrong with its call of method `name`."""
    if isinstance(error, GpulockError):
        return error
    if isinstance(error, RecursionError):
        return faults.too_deep()
    _logger.error("method %s failed", name, exc_info=error)
    return faults.internal()


def _hung_up(transport: asyncio.Transport) -> bool:
    """Whether the peer has closed its socket for good, or ended; not just the sending side of it."""
    poll = select.poll()
    poll.register(transport.get_extra_info("socket"), 0)
    return any(event & select.POLLHUP for _, event in poll.poll(0))
