"""The whole server around a scripted core: real sockets, a real event loop, and nobody who decides anything.

`Server` runs it in a thread of its own, so that tests can be blocking clients. As a program it serves in a process
of its own, whose memory can be measured:

    python -m tests.server.house LOOP SOCKET
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

import uvloop

from gpulockd.core.actions import Announce, Refused
from gpulockd.core.events import AcquireRequested, Event
from gpulockd.core.model import Owner, Process, State
from gpulockd.core.settings import Settings
from gpulockd.history import ALL, Ended, History, Sought, Total, Unmet
from gpulockd.ports import DescriptorStore, Saved, View
from gpulockd.server import Keeping, Limits, Server as SocketServer, Sessions, Sources, Watchers
from gpulockd.server.peer import Peer, peer_of
from tests.support.frames import Frames
from tests.support.unchanging import Unchanging
from tests.support.waiting import PATIENCE

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}
WALL = 1_700_000_000.0
Result = TypeVar("Result")
Reaction = Callable[[Any], None]


class ScriptedCore:
    """A mailbox that records what arrives and answers as the test says, a turn of the loop later, like the engine.

    Without a script every command is answered with `{}`, an `acquire` is left waiting, and a question is put to
    `state`.
    """

    def __init__(self, sessions: Sessions, settings: Settings, keeping: Keeping | None = None) -> None:
        self.sessions = sessions
        self.keeping = keeping
        self.state = State(settings)
        self.events: list[Event] = []
        self.script: dict[type, Reaction] = {AcquireRequested: lambda event: None}
        self.status: Mapping[str, object] | None = None
        self._inbox: list[Callable[[], None]] = []

    def post(self, event: Event) -> None:
        self._put(lambda: self._take(event))

    def ask(self, session: int, msgid: int, view: View) -> None:
        self._put(lambda: self._look(session, msgid, view))

    def seen(self, kind: type[Result]) -> list[Result]:
        return [event for event in self.events if isinstance(event, kind)]

    def _put(self, work: Callable[[], None]) -> None:
        self._inbox.append(work)
        if len(self._inbox) == 1:
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        inbox, self._inbox = self._inbox, []
        for work in inbox:
            work()
        if self.keeping is not None:
            self.keeping.settled()

    def _take(self, event: Event) -> None:
        self.events.append(event)
        if (reaction := self.script.get(type(event))) is not None:
            reaction(event)
        elif (msgid := getattr(event, "msgid", None)) is not None:
            self.sessions.answer(event.session, msgid, {})  # type: ignore[union-attr]

    def _look(self, session: int, msgid: int, view: View) -> None:
        try:
            answer = view(self.state, 0.0) if self.status is None else self.status
        except Refused as refused:
            self.sessions.refuse(session, msgid, refused.refusal)
        else:
            self.sessions.answer(session, msgid, answer)


class RecordedProcesses:
    """`ports.Processes` as far as the server uses it. User 0 is the administrator."""

    def __init__(self) -> None:
        self.known: list[Process] = []
        self.failure: OSError | None = None
        self.start_time = 1

    def identify(self, pid: int, uid: int, gid: int, pidfd: int | None) -> Owner:
        if pidfd is not None:
            os.close(pidfd)
        if self.failure is not None:
            raise self.failure
        process = Process(pid, self.start_time, "boot")
        self.known.append(process)
        return Owner(process, uid, gid, user=f"user{uid}", command="test", admin=uid == 0)

    def forget(self, process: Process) -> None:
        self.known.remove(process)


class ScriptedPast:
    """A history that is what the test says, and notes what was asked for."""

    def __init__(
        self, locks: Sequence[Ended] = (), requests: Sequence[Unmet] = (), totals: Sequence[Total] = ()
    ) -> None:
        self._locks, self._requests, self._totals = locks, requests, totals
        self.asked: list[tuple[object, ...]] = []
        self.failure: Exception | None = None

    def history(self, limit: int, sought: Sought = ALL) -> list[Ended]:
        if self.failure is not None:
            raise self.failure
        self.asked.append(("locks", limit, sought))
        return list(self._locks)

    def unmet(self, limit: int, sought: Sought = ALL) -> list[Unmet]:
        self.asked.append(("requests", limit, sought))
        return list(self._requests)

    def totals(self, sought: Sought = ALL) -> list[Total]:
        self.asked.append(("totals", sought))
        return list(self._totals)


class House:
    """Everything the server consists of, on the running loop."""

    def __init__(
        self,
        path: str,
        *,
        limits: Limits | None = None,
        settings: Settings | None = None,
        history: History | None = None,
        fleet: Callable[[], Any] | None = None,
        peer: Callable[[socket.socket], Peer] = peer_of,
        store: DescriptorStore | None = None,
    ) -> None:
        self.path = path
        self.sessions = Sessions()
        self.announced: list[Announce] = []
        self.watchers = Watchers(lambda: WALL)
        self.keeping = None if store is None else Keeping(store)
        self.core = ScriptedCore(self.sessions, settings or Settings(host="test"), self.keeping)
        self.processes = RecordedProcesses()
        self.changes = Unchanging()
        sources = Sources(
            history=history or ScriptedPast(),
            gpu=lambda name: f"GPU-{name}",
            wall=lambda: WALL,
            fleet=fleet or _no_fleet,
            refresh=self._refresh,
            daemon=lambda: {"pid": os.getpid(), "sessions": len(self.sessions)},
            changes=self.changes,
            canary=self.changes,
        )
        self.refreshed = 0
        self.server = SocketServer(
            path,
            mailbox=self.core,
            sessions=self.sessions,
            watchers=self.watchers,
            processes=self.processes,  # type: ignore[arg-type]  # the other methods are not the server's
            settings=self.core.state.settings,
            sources=sources,
            limits=limits or Limits(),
            version="test",
            announce=self.announce,
            keeping=self.keeping,
            peer=peer,
        )
        self.server.adopt(Saved())
        self.server.start()

    def announce(self, announce: Announce) -> None:
        self.announced.append(announce)
        self.watchers.observe(announce)

    async def _refresh(self) -> None:
        self.refreshed += 1

    async def stop(self) -> None:
        self.server.stop()
        for _ in range(10):
            await asyncio.sleep(0)  # the transports close in the turns that follow, however long these take


async def _no_fleet() -> list[Mapping[str, object]]:
    return []


class Server:
    """A `House` in a thread of its own. Arguments are those of `House`."""

    def __init__(self, directory: Path, loop: str, **arguments: Any) -> None:
        self.path = str(directory / "test.sock")
        self.faults: list[dict[str, Any]] = []
        self._arguments = arguments
        self._loop = LOOPS[loop]()
        self._loop.set_exception_handler(lambda _, fault: self.faults.append(fault))
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        self.house = self.do(lambda: House(self.path, **self._arguments))
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self.house.stop(), self._loop).result(PATIENCE)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()
        assert not self.faults, f"the event loop reported: {self.faults}"

    @property
    def core(self) -> ScriptedCore:
        return self.house.core

    def do(self, work: Callable[[], Result]) -> Result:
        """Runs `work` on the server's loop and returns what it returned."""

        async def there() -> Result:
            return work()

        return asyncio.run_coroutine_threadsafe(there(), self._loop).result(PATIENCE)

    def connect(self, patience: float = PATIENCE) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(patience)
        sock.connect(self.path)
        return sock


def read_to_end(sock: socket.socket) -> bytes:
    """Whatever comes until the peer closes."""
    chunks: list[bytes] = []
    try:
        while data := sock.recv(1 << 16):
            chunks.append(data)
    except ConnectionResetError:
        pass  # closed while something of ours was still unread there
    return b"".join(chunks)


def close_all(sockets: Iterable[socket.socket]) -> None:
    for sock in sockets:
        sock.close()


def answers(path: str) -> bool:
    """Whether a server answers at `path` yet."""
    try:
        with Frames(path) as client:
            return bool(client.call("release") == {})
    except OSError:
        return False


async def _serve(path: str) -> None:
    house = House(path, limits=Limits(sessions=20_000, sessions_per_user=20_000))
    house.core.status = {"schema_version": 1, "filler": "x" * 50 * 1024}
    await asyncio.Event().wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=LOOPS[sys.argv[1]]) as runner:
        runner.run(_serve(sys.argv[2]))
