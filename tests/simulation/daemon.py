"""One run of a daemon on a simulated host: the real engine, core, sessions and connections between simulated ports."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from gpulockd.core.actions import Announce, Notify, Record, Refusal
from gpulockd.core.events import Event, GpusDiscovered, LeaseFreed
from gpulockd.core.model import GpuState, LeaseHolder
from gpulockd.engine import Engine
from gpulockd.history import History
from gpulockd.ports import Claimed, Post, Renewed, Saved, Unavailable
from gpulockd.restoration import restored
from gpulockd.server import Limits, Sessions, Sources, Watchers
from gpulockd.server.admission import Admission
from gpulockd.server.buffers import Buffers
from gpulockd.server.context import Context
from gpulockd.server.peer import Peer
from tests.support.loop_alarm import LoopAlarm
from tests.support.unchanging import Unchanging

from .hardware import DriverView, KernelView
from .loop import SimulatedLoop
from .store import Lease
from .wire import Wire

if TYPE_CHECKING:
    from .world import Host, World

OPERATION_TIMEOUT = 1.0
"""Seconds: `redis.operation_timeout`."""


MIB = 2**20


class Killed(BaseException):
    """The process ends at this instruction."""


class Daemon:
    """From its start to its death."""

    def __init__(self, world: World, host: Host, number: int) -> None:
        self.world = world
        self.host = host
        self.instance = f"{host.name}#{number}"
        self.pid = 10 + number
        self.boot_id = host.machine.boot_id
        self.alive = True
        self.serving = False
        self.loop = SimulatedLoop(world.schedule, self._failed, self._struck)  # type: ignore[abstract]  # no sockets, no threads
        self.no_right_to = host.no_right_to
        self.kernel = KernelView(host.machine, self)
        self.machine = world.make_machine(host.settings, self)
        self.wires: list[Wire] = []
        self.leases = StoreView(self) if world.store is not None else DirectoryView(self)
        self.sessions = SessionsView(self)
        self.engine = Engine(
            self.machine,
            clock=self,
            journal=DiskView(self),
            leases=self.leases,
            inventory=DriverView(host.machine, self),
            processes=self.kernel,
            clients=self.sessions,
            announce=self._announce,
        )
        sources = Sources(
            history=cast(History, None),  # nobody asks for it here
            gpu=str,
            wall=self.wall,
            fleet=self._nothing,
            refresh=self._nothing,
            daemon=dict,
            changes=Unchanging(),
            canary=Unchanging(),
        )
        context = Context(self.engine, host.settings, sources, Watchers(self.wall), Buffers(MIB), "gpulockd", {})
        self.admission = Admission(
            context, self.sessions, Watchers(self.wall), self.kernel, Limits(), self._announce, peer=_peer
        )

    # Clock: the host's own.

    def now(self) -> float:
        return self.loop.time() + self.host.clock_offset

    def wall(self) -> float:
        return self.now()

    def alarm(self, ring: Callable[[], None]) -> LoopAlarm:
        return LoopAlarm(ring, self.now)

    # Its life.

    def start(self) -> None:
        """What `app` does: what the driver and the journal say comes first, then everybody else."""
        self.world.tell(self.host.name, f"daemon {self.instance} starts")
        saved: Saved = self.host.disk_view(self.host.disk.load())
        self.engine.post(GpusDiscovered(self.host.machine.gpus))
        self.engine.post(restored(saved, self.kernel.alive, frozenset()))
        self.loop.start(self._run())
        self.serving = True

    async def _run(self) -> None:
        try:
            await self.engine.run()
        except (asyncio.CancelledError, KeyboardInterrupt, SystemExit):
            raise  # it is the world that is to end
        except BaseException as error:  # noqa: BLE001  # whatever ends a daemon
            cause = error
            while isinstance(cause, BaseExceptionGroup):
                cause = cause.exceptions[0]
            self._failed(cause)

    def connect(self, wire: Wire) -> bool:
        """A client at the door. False: nobody listens."""
        if not self.serving:
            return False
        self.wires.append(wire)
        self.loop.call_soon(self._admit, wire)
        return True

    def _admit(self, wire: Wire) -> None:
        try:
            self.admission.admit(cast(socket.socket, wire))
        except OSError:
            wire.close()

    def from_outside(self, event: Event) -> None:
        """A descriptor or a task has news for the core."""
        if self.alive:
            self.loop.call_soon(self.engine.post, event)
            if self.world.strikes("event doubled"):
                self.loop.call_soon(self.engine.post, event)

    def resolve(self, answer: asyncio.Future[Any], result: object) -> None:
        """What a coroutine waits for has come."""

        def settle() -> None:
            if answer.done():
                return
            if isinstance(result, Exception):
                answer.set_exception(result)
            else:
                answer.set_result(result)

        if self.alive:
            self.loop.call_soon(settle)

    def watched_in_vain(self) -> list[int]:
        """Pids of processes whose exit concerns nobody any more."""
        state = self.engine.state
        wanted = {session.owner.process for session in state.sessions.values()}
        wanted |= {lock.owner.process for lock in state.locks.values()}
        wanted |= {request.owner.process for request in state.absent.values()}
        wanted |= {entry.holder.process for gpu in state.gpus.values() if (entry := gpu.quarantine) and entry.awaited}
        return sorted(process.pid for process in self.kernel.watched if process not in wanted)

    def kill(self, why: str) -> None:
        """SIGKILL: nothing of it happens any more. The kernel closes its sockets."""
        if not self.alive:
            return
        self.world.tell(self.host.name, f"daemon {self.instance} dies: {why}")
        self.alive = self.serving = False
        self.engine.stop()
        for wire in self.wires:
            wire.close()
        self.world.schedule.soon(self.loop.end)
        self.host.daemon_died(self)

    async def stop(self) -> None:
        """SIGTERM, as `app` answers it: the leases of free GPUs are let go, locks outlive the daemon."""
        state = self.engine.state
        self.engine.stop()
        self.serving = False
        for wire in self.wires:
            wire.close()
        free = [gpu for gpu in state.gpus.values() if gpu.state is GpuState.FREE]
        epochs = {gpu.uuid: gpu.epoch for gpu in free if gpu.epoch is not None}
        if epochs:
            with contextlib.suppress(Unavailable):
                await self.leases.release(epochs)
        self.kill("it has stopped")

    def _struck(self) -> bool:
        """Whether it is killed at this await."""
        if not self.world.strikes("crash at an await"):
            return False
        self.kill("at an await")
        return True

    def _failed(self, error: BaseException) -> None:
        if not isinstance(error, Killed):
            self.world.finding("daemon", f"{self.instance} fails: {error!r}")

    async def _nothing(self) -> Any:
        return ()

    def _announce(self, announce: Announce) -> None:
        if self.alive and announce.severity >= 20:
            self.world.tell(self.host.name, announce.message)

    def die_here(self, why: str) -> None:
        """At this very instruction."""
        self.kill(why)
        raise Killed(why)


def _peer(sock: socket.socket) -> Peer:
    wire = cast(Wire, sock)
    return Peer(wire.pid, wire.uid, wire.uid, None)


class SessionsView(Sessions):
    """The real sessions; what the engine says to them is seen by the referee, and may be the last that it says."""

    def __init__(self, daemon: Daemon) -> None:
        super().__init__()
        self._daemon = daemon

    def answer(self, session: int, msgid: int, result: Mapping[str, object]) -> None:
        self._maybe_the_last_word()
        self._daemon.world.referee.answered(self._daemon, session, msgid, result)
        super().answer(session, msgid, result)

    def refuse(self, session: int, msgid: int | None, refusal: Refusal) -> None:
        self._maybe_the_last_word()
        super().refuse(session, msgid, refusal)

    def notify(self, notice: Notify) -> None:
        self._maybe_the_last_word()
        super().notify(notice)

    def _maybe_the_last_word(self) -> None:
        if not self._daemon.alive:
            raise Killed("it is dead")
        if self._daemon.world.strikes("crash among effects"):
            self._daemon.die_here("in the middle of what it has to tell")


class DiskView:
    """The port `Journal` of one daemon."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon

    def load(self) -> Saved:
        return self._daemon.host.disk.load()

    def commit(self, records: Sequence[Record]) -> None:
        daemon = self._daemon
        world, host = daemon.world, daemon.host
        if not daemon.alive:
            raise Killed("it is dead")
        if world.strikes("crash before commit"):
            daemon.die_here("before a commit")
        if world.strikes("commit is slow"):
            daemon.loop.hold(world.schedule.chance.choice((0.05, 0.5, 3.0)))
        if host.journal_broken or world.strikes("commit fails"):
            raise Unavailable("the disk is full")
        host.disk.write(records)
        world.referee.committed(daemon, records)
        if world.strikes("crash after commit"):
            daemon.die_here("after a commit")
        if world.strikes("commit fails and is done"):
            raise Unavailable("the disk may have a fault")

    def raise_epoch(self, epoch: int) -> None:
        if not self._daemon.alive:
            raise Killed("it is dead")
        host = self._daemon.host
        if host.journal_broken:
            raise Unavailable("the disk is full")
        host.disk.epoch = max(host.disk.epoch, epoch)
        if self._daemon.world.strikes("crash after commit"):
            self._daemon.die_here("after it wrote an epoch down")

    def close(self) -> None:
        """Nothing to close."""


class DirectoryView:
    """The port `Leases` of a host without a store: what `leases.local` promises."""

    kind = "local"
    ttl = float("inf")

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._granted: dict[str, tuple[int, int]] = {}

    async def claim(self, attempt: int, gpus: Sequence[str], floor: int, held: Sequence[str] = ()) -> Claimed:
        await _pause(self._daemon)
        disk = self._daemon.host.disk
        new = [gpu for gpu in gpus if self._granted.get(gpu, (0, 0))[0] != attempt or self._granted[gpu][1] <= floor]
        if new:
            disk.local_epoch = max(disk.local_epoch, floor) + 1
            self._granted.update(dict.fromkeys(new, (attempt, disk.local_epoch)))
        self._daemon.world.referee.leased(self._daemon, self._daemon.loop.time(), gpus)
        return Claimed({gpu: self._granted[gpu][1] for gpu in gpus}, {})

    async def renew(self, attempt: int, epochs: Mapping[str, int], snapshot: Mapping[str, object]) -> Renewed:
        await _pause(self._daemon)
        return Renewed(frozenset(epochs), {})

    async def release(self, epochs: Mapping[str, int]) -> None:
        await _pause(self._daemon)

    async def fleet(self) -> list[Mapping[str, object]]:
        return []

    async def listen(self, post: Post) -> None:
        """Nobody else can release anything."""

    async def close(self) -> None:
        """Nothing to close."""


async def _pause(daemon: Daemon) -> None:
    """A thread does it, and comes back."""
    done: asyncio.Future[None] = daemon.loop.create_future()
    daemon.world.schedule.soon(daemon.resolve, done, None)
    await done


class StoreView:
    """The port `Leases` of one daemon, over a net that loses, delays and doubles."""

    kind = "redis"

    def __init__(self, daemon: Daemon) -> None:
        assert daemon.world.store is not None
        self._daemon = daemon
        self._store = daemon.world.store
        self.ttl = self._store.ttl
        self._dead = {run.instance for run in daemon.host.runs if not run.alive}
        """Earlier runs of this host, which are known to have ended."""

    async def claim(self, attempt: int, gpus: Sequence[str], floor: int, held: Sequence[str] = ()) -> Claimed:
        daemon, store, sent_at = self._daemon, self._store, self._daemon.loop.time()

        def script(instead_of: Mapping[str, Lease]) -> Callable[[float], Any]:
            def run(now: float) -> Any:
                us = daemon.instance, daemon.host.name, daemon.pid
                granted, refused = store.claim(now, *us, attempt, gpus, floor, held, instead_of)
                daemon.world.referee.claimed(daemon, granted)
                return granted, refused

            return run

        async with _deadline():
            granted, refused = await self._ask(script({}), "claim")
            dead = {gpu: lease for gpu, (lease, _) in refused.items() if lease.instance in self._dead}
            if dead:
                granted, refused = await self._ask(script(dead), "claim of what a dead daemon had")
        daemon.world.referee.leased(daemon, sent_at, granted)
        return Claimed(granted, {gpu: _holder(lease, left) for gpu, (lease, left) in refused.items()})

    async def renew(self, attempt: int, epochs: Mapping[str, int], snapshot: Mapping[str, object]) -> Renewed:
        daemon, store, sent_at = self._daemon, self._store, self._daemon.loop.time()
        async with _deadline():
            lost = await self._ask(lambda now: store.renew(now, daemon.instance, epochs), "renewal")
        kept = [gpu for gpu in epochs if gpu not in lost]
        daemon.world.referee.leased(daemon, sent_at, kept)
        return Renewed(frozenset(kept), {gpu: theirs and _holder(*theirs) for gpu, theirs in lost.items()})

    async def release(self, epochs: Mapping[str, int]) -> None:
        daemon = self._daemon

        def script(now: float) -> None:
            if released := self._store.release(now, daemon.instance, epochs):
                daemon.world.released(daemon, frozenset(released))

        async with _deadline():
            await self._ask(script, "release")

    async def fleet(self) -> list[Mapping[str, object]]:
        return []

    async def listen(self, post: Post) -> None:
        """`World.released` tells."""

    async def close(self) -> None:
        """Nothing to close."""

    async def _ask(self, script: Callable[[float], Any], what: str) -> Any:
        """One script on its way to the store, and its answer on the way back."""
        daemon, world = self._daemon, self._daemon.world
        schedule, chance = world.schedule, world.schedule.chance
        if not daemon.alive:
            raise asyncio.CancelledError
        answer: asyncio.Future[Any] = daemon.loop.create_future()

        def arrive(copy: bool) -> None:
            if world.store_down:
                if not copy:
                    schedule.soon(daemon.resolve, answer, Unavailable("the store refuses"))
                return
            if schedule.now < world.store_frozen_until:
                schedule.at(world.store_frozen_until + 0.01 * chance.random(), arrive, copy)
                return
            result = script(schedule.now)
            world.tell("store", f"{what} of {daemon.instance}{' again' if copy else ''}: {_told(result)}")
            if not copy and not world.strikes("answer of store lost"):
                schedule.after(world.trip(), daemon.resolve, answer, result)

        if not world.strikes("request to store lost"):
            late = chance.uniform(0.5, 20.0) if world.strikes("request to store late") else world.trip()
            schedule.after(late, arrive, False)
            if world.strikes("request to store doubled"):
                schedule.after(late + chance.choice((0.01, 1.0, 20.0)), arrive, True)
        return await answer


@contextlib.asynccontextmanager
async def _deadline() -> AsyncIterator[None]:
    """What `leases.redis` puts around each operation."""
    try:
        async with asyncio.timeout(OPERATION_TIMEOUT):
            yield
    except TimeoutError:
        raise Unavailable(f"no answer within {OPERATION_TIMEOUT:g} s") from None


def _holder(lease: Lease, left: float) -> LeaseHolder:
    return LeaseHolder(lease.host, lease.pid, left)


def _told(result: Any) -> str:
    match result:
        case (granted, refused):
            others = {gpu: lease.instance for gpu, (lease, _) in refused.items()}
            return f"granted {granted}, refused {others}"
        case dict():
            return f"lost {[*result]}" if result else "kept"
    return "done"


def freed(daemon: Daemon, gpus: frozenset[str]) -> None:
    """Hears that another daemon let go of GPUs."""
    daemon.from_outside(LeaseFreed(gpus))
