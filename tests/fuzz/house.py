"""The daemon's real connections, methods and core in memory: bytes in, bytes out, all laws looked at on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, cast

import msgpack

from gpulock import rpc, wire
from gpulock.errors import InternalError, ProtocolError
from gpulockd.core.actions import Answer, ClaimLeases, Disconnect, Inspect, Notify, Refuse, Refused
from gpulockd.core.events import (
    DeadlineReached,
    Event,
    GpuInspected,
    GpusDiscovered,
    LeasesClaimed,
    ProcessExited,
    Restored,
    SessionClosed,
    SessionOpened,
)
from gpulockd.core.invariants import check
from gpulockd.core.machine import Machine
from gpulockd.core.model import GpuIdentity, Owner, Process
from gpulockd.core.settings import Settings
from gpulockd.ports import View
from gpulockd.server import Sessions, Sources, Watchers
from gpulockd.server.buffers import Buffers
from gpulockd.server.connection import Connection
from gpulockd.server.context import Context
from tests.server.house import ScriptedPast
from tests.support.unchanging import Unchanging

GPUS = tuple(GpuIdentity(f"GPU-{index}", index, "Simulated GPU", 2**34) for index in range(2))
SETTINGS = Settings(max_requests_per_session=8, max_requests_per_user=12, max_locks_per_user=2, max_overtakes=2)


class Pipe(asyncio.Transport):
    """A client's end that reads everything at once, or nothing for a while."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = bytearray()
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        self.sent += data

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Everything is read at once."""

    def pause_reading(self) -> None:
        """The house looks at the connection itself."""

    def resume_reading(self) -> None:
        """As above."""

    def close(self) -> None:
        self.closed = True

    abort = close


class House:
    """Takes what clients say, and looks after every event whether the core still agrees with itself."""

    def __init__(self) -> None:
        self.machine = Machine(SETTINGS)
        self.sessions = Sessions()
        self.now = 100.0
        self._inbox: list[Event | tuple[int, int, View]] = []
        self._pipes: dict[int, Pipe] = {}
        self._connections: dict[int, Connection] = {}
        sources = Sources(
            history=ScriptedPast(),
            gpu=str,
            wall=lambda: 0.0,
            fleet=self._nothing,
            refresh=self._nothing,
            daemon=dict,
            changes=Unchanging(),
            canary=Unchanging(),
        )
        watchers = Watchers(lambda: 0.0)
        self._context = Context(self, SETTINGS, sources, watchers, Buffers(2**20), "gpulockd", {})
        self._handle(GpusDiscovered(GPUS))
        self._handle(Restored((), {}, {}, 0, frozenset()))

    # The mailbox.

    def post(self, event: Event) -> None:
        self._inbox.append(event)

    def ask(self, session: int, msgid: int, view: View) -> None:
        self._inbox.append((session, msgid, view))

    # What happens.

    def connect(self, session: int, uid: int) -> None:
        owner = Owner(Process(1000 + session, session, "boot"), uid, uid, f"user{uid}", admin=uid == 0)
        connection = Connection(session, owner, self._context, self._ended)
        self.sessions.add(connection)
        self._connections[session], self._pipes[session] = connection, Pipe()
        self.post(SessionOpened(session, owner))
        connection.connection_made(self._pipes[session])

    async def hear(self, session: int, data: bytes) -> None:
        self._connections[session].data_received(data)
        await self.settle()

    async def dies(self, session: int) -> None:
        self.post(ProcessExited(self._connections[session].owner.process))
        await self.settle()

    async def passes(self, seconds: float) -> None:
        self.now += seconds
        self.post(DeadlineReached())
        await self.settle()

    async def settle(self) -> None:
        """Until there is nothing more to do. Each turn does what is there, as the engine does."""
        for _ in range(8):
            inbox, self._inbox = self._inbox, []
            for item in inbox:
                if isinstance(item, tuple):
                    self._look(*item)
                else:
                    self._handle(item)
            await asyncio.sleep(0)
            if not self._inbox:
                return

    def _look(self, session: int, msgid: int, view: View) -> None:
        try:
            self.sessions.answer(session, msgid, view(self.machine.state, self.now))
        except Refused as refused:
            self.sessions.refuse(session, msgid, refused.refusal)

    def _handle(self, event: Event) -> None:
        actions = self.machine.handle(event, self.now)
        check(self.machine)
        for action in actions:
            match action:
                case Answer(session, msgid, result):
                    self.sessions.answer(session, msgid, result)
                case Refuse(session, msgid, refusal):
                    self.sessions.refuse(session, msgid, refusal)
                case Notify():
                    self.sessions.notify(action)
                case Disconnect(session):
                    self.sessions.disconnect(session)
                case Inspect(gpu):
                    self.post(GpuInspected(gpu, ()))
                case ClaimLeases(attempt=attempt, gpus=gpus):
                    self.post(LeasesClaimed(self.now, dict.fromkeys(gpus, attempt)))
                case _:
                    pass

    def _ended(self, connection: Connection, how: str, _why: str | None) -> None:
        if self.sessions.remove(connection.session):
            self.post(SessionClosed(connection.session, how))

    async def _nothing(self) -> Any:
        return ()

    # What came of it.

    def judge(self) -> None:
        """Raises `AssertionError` where a client was told what it should not have been."""
        for session, pipe in self._pipes.items():
            said = list(rpc.Decoder(wire.MAX_REPLY_BYTES).feed(bytes(pipe.sent)))
            answered = [each for each in said if isinstance(each, rpc.Response)]
            assert all(isinstance(each, (rpc.Response, rpc.Notification)) for each in said), said
            faults = [each.error for each in answered if each.error is not None]
            faults += [each.params for each in said if isinstance(each, rpc.Notification) and each.method == "error"]
            for fault in cast("list[Mapping[str, Any]]", faults):
                assert fault["code"] != InternalError.code, f"session {session}: {fault}"
                assert fault["message"], fault
                assert len(msgpack.packb(fault)) < 8192, fault
            ended = [fault for fault in faults if fault["code"] == ProtocolError.code]
            assert not ended or pipe.closed, f"session {session} goes on after {ended}"
            lost = [each.params for each in said if isinstance(each, rpc.Notification) and each.method == "lost"]
            assert all(params and params["lock"] for params in lost)
