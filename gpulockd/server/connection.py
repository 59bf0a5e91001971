"""One client's connection: requests to the core and the methods, answers back to the client.

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
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING

from gpulock import rpc, wire
from gpulock.errors import GpulockError, to_wire

from ..core.actions import Refusal, Refused
from ..core.model import Owner
from . import faults
from .flow import Flow
from .methods import METHODS, Access, release_quietly

if TYPE_CHECKING:
    from .context import Context

_ADMINISTRATOR = Access.ADMINISTRATOR  # looking a member up in its class is slow, and done for every request
_UNENCODABLE = (TypeError, ValueError, OverflowError)

Ended = Callable[["Connection", str, str | None], None]
"""Told once that a session has ended: how, and what the log should say about it."""

_logger = logging.getLogger(__name__)


class Connection(Flow):
    restart_safe = False
    """Whether it outlives the daemon: see `kept`."""

    __slots__ = ("_context", "_on_end", "_tasks", "key", "owner", "session")

    def __init__(self, session: int, owner: Owner, context: Context, on_end: Ended) -> None:
        super().__init__(owner.uid, context.buffers)
        self.session = session
        self.owner = owner
        self.key = f"{owner.process.pid} {owner.process.start_time} {owner.process.boot_id}"
        self._context = context
        self._on_end = on_end
        self._tasks: set[asyncio.Task[None]] | None = None

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

    def introduced(self, key: str, client: str, *, resumes: bool) -> None:
        """Its session has this key, by digest, and this name for people, and may be asked to say `RESUMED`."""

    def watched(self) -> None:
        """Its session hears of events from now on."""

    # What the client says.

    def _take(self, message: rpc.Incoming) -> None:
        if type(message) is rpc.Request:
            self._perform(message.msgid, message.method, message.params)
        elif type(message) is rpc.Notification and message.method == "release":
            self._release(message.params)
        else:
            self._put_right(message)

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
        except Exception:  # whatever it is, the client hears of it, and the others' requests go on
            _logger.exception("a request of session %d failed", self.session)
            self._fail(msgid, faults.internal())

    # Answers.

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

    def _over(self, how: str, why: str | None) -> None:
        self._cancel()
        self._on_end(self, how, why)

    def _cancel(self) -> None:
        for task in self._tasks or ():
            task.cancel()


def _told(error: Exception, name: str) -> GpulockError:
    """What a client is told of what went wrong with its call of method `name`."""
    if isinstance(error, GpulockError):
        return error
    if isinstance(error, RecursionError):
        return faults.too_deep()
    _logger.error("method %s failed", name, exc_info=error)
    return faults.internal()
