"""An engine between scripted ports: everything that it does lands in one list, in order."""

from __future__ import annotations

import contextlib
import errno
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Any

import anyio
import anyio.lowlevel

from gpulockd.core.actions import Announce, LockEnded, LockGranted, Notify, Record, Refusal
from gpulockd.core.events import AcquireRequested, GpusDiscovered, Restored, SessionOpened
from gpulockd.core.machine import Machine
from gpulockd.core.model import GpuIdentity, GpuProcess, LeaseHolder, Lock, Owner, Process, Sample, Wish
from gpulockd.core.settings import Settings
from gpulockd.engine import Engine
from gpulockd.ports import Claimed, Post, Renewed, Saved, Unavailable
from tests.support.loop_alarm import LoopAlarm

BOOT = "boot-1"
GPUS = tuple(GpuIdentity(f"GPU-{index}", index, "Test GPU", 2**34) for index in range(2))


class World:
    """All ports at once, but for the journal."""

    boot_id = BOOT
    ttl = float("inf")
    kind = "test"
    simulated = True
    driver = "test"

    def __init__(self, *, notes_marks: bool = False, **settings: Any) -> None:
        self.log: list[str] = []
        self.time = 100.0
        self.commits: list[list[str]] = []
        self.journal_broken = False
        self.journal_contradicts = False
        self.commit_takes = 0.0
        self.epoch_broken = False
        self.lease_broken = False
        self.refused: dict[str, LeaseHolder] = {}
        self.on_gpu: tuple[GpuProcess, ...] | None = ()
        self.inspection_fails = False
        self.dead: set[Process] = set()
        self.watched: list[str] = []
        self.no_right_to: set[int] = set()
        self.no_descriptor_left = False
        self.events: list[Announce] = []
        self.engine = Engine(
            Machine(Settings(**settings)),
            clock=self,
            journal=ScriptedJournal(self),
            leases=self,
            inventory=self,
            processes=self,
            clients=self,
            announce=self.events.append,
            safekeeping=NotedMarks(self.log) if notes_marks else None,
        )

    @contextlib.asynccontextmanager
    async def running(self, *kept: Lock) -> AsyncIterator[World]:
        """The engine runs, has its GPUs and its leases, and has found these locks in its journal."""
        alive = frozenset(lock.owner.process for lock in kept)
        self.engine.post(GpusDiscovered(GPUS))
        self.engine.post(Restored(kept, {}, {}, max((lock.token for lock in kept), default=0), alive))
        async with anyio.create_task_group() as tasks:
            await tasks.start(self.engine.run)
            await self.settled()
            self.watched = [line for line in self.log if line.startswith("watch")]
            self.log.clear()
            self.commits.clear()
            yield self
            tasks.cancel_scope.cancel()

    async def settled(self) -> None:
        """Everything that was posted has been handled, and what it started has come back."""
        for _ in range(4):
            await self.engine.turned()
            await anyio.lowlevel.checkpoint()

    def connect(self, session: int) -> Process:
        process = Process(1000 + session, session, BOOT)
        self.engine.post(SessionOpened(session, Owner(process, 1000, 1000, f"user{session}")))
        return process

    def acquire(self, session: int, msgid: int = 1, **wish: Any) -> None:
        self.engine.post(AcquireRequested(session, msgid, Wish(wish.pop("count", 1), **wish)))

    # Clock.

    def now(self) -> float:
        return self.time

    def wall(self) -> float:
        return self.time

    def alarm(self, ring: Callable[[], None]) -> LoopAlarm:
        return LoopAlarm(ring, self.now)

    # Leases.

    async def claim(self, attempt: int, gpus: Sequence[str], floor: int, held: Sequence[str] = ()) -> Claimed:
        await anyio.lowlevel.checkpoint()
        if self.lease_broken:
            raise Unavailable("no answer within 1 s")
        return Claimed({gpu: floor + 1 for gpu in gpus if gpu not in self.refused}, self.refused)

    async def renew(self, attempt: int, epochs: Mapping[str, int], snapshot: Mapping[str, object]) -> Renewed:
        await anyio.lowlevel.checkpoint()
        self.log.append(f"renew, waiting {snapshot['waiting']}")
        if self.lease_broken:
            raise Unavailable("no answer within 1 s")
        return Renewed(frozenset(epochs), {})

    async def release(self, epochs: Mapping[str, int]) -> None:
        raise NotImplementedError

    async def fleet(self) -> list[Mapping[str, object]]:
        raise NotImplementedError

    async def listen(self, post: Post) -> None:
        raise NotImplementedError

    # Inventory.

    async def discover(self) -> tuple[GpuIdentity, ...]:
        return GPUS

    async def sample(self) -> Mapping[str, Sample]:
        raise NotImplementedError

    async def processes(self, gpu: str) -> tuple[GpuProcess, ...] | None:
        await anyio.lowlevel.checkpoint()
        if self.inspection_fails:
            raise Unavailable("the GPU does not answer")
        return self.on_gpu

    async def close(self) -> None:
        raise NotImplementedError

    # Processes.

    def identify(self, pid: int, uid: int, gid: int, pidfd: int | None) -> Owner:
        raise NotImplementedError

    def watch(self, process: Process) -> bool:
        self.log.append(f"watch {process.pid}")
        if self.no_descriptor_left:
            raise OSError(errno.EMFILE, "Too many open files")
        return process not in self.dead

    def forget(self, process: Process) -> None:
        self.log.append(f"forget {process.pid}")

    def alive(self, process: Process) -> bool:
        return process not in self.dead

    def signal(self, process: Process, signal: int) -> None:
        self.log.append(f"signal {signal} to {process.pid}")
        if process in self.dead:
            raise ProcessLookupError
        if process.pid in self.no_right_to:
            raise PermissionError("Operation not permitted")
        if self.no_descriptor_left:
            raise OSError(errno.EMFILE, "Too many open files")

    def end(self, stray: GpuProcess, signal: int) -> None:
        self.log.append(f"signal {signal} to stray {stray.pid}")

    def annotate(self, processes: Sequence[GpuProcess]) -> tuple[GpuProcess, ...]:
        return tuple(processes)

    def kin(self, holder: Owner, others: Sequence[GpuProcess]) -> tuple[GpuProcess, ...]:
        return tuple(others)

    # Clients.

    def answer(self, session: int, msgid: int, result: Mapping[str, object]) -> None:
        self.log.append(f"answer {session}/{msgid} {result.get('lock', '')}".rstrip())

    def refuse(self, session: int, msgid: int | None, refusal: Refusal) -> None:
        self.log.append(f"refuse {session}/{msgid} {refusal.code}")

    def notify(self, notice: Notify) -> None:
        self.log.append(f"notify {notice.session} {notice.method}")

    def disconnect(self, session: int) -> None:
        self.log.append(f"disconnect {session}")


class NotedMarks:
    """Implements `ports.Safekeeping`."""

    def __init__(self, log: list[str]) -> None:
        self._log = log

    def brace(self, sessions: Iterable[int]) -> None:
        self._log += [f"brace {session}" for session in sessions]

    def settled(self) -> None:
        self._log.append("settled")


class ScriptedJournal:
    def __init__(self, world: World) -> None:
        self._world = world

    def load(self) -> Saved:
        return Saved()

    def commit(self, records: Sequence[Record]) -> None:
        world = self._world
        world.time += world.commit_takes
        if world.journal_contradicts:
            raise sqlite3.IntegrityError("two locks on one GPU")
        if world.journal_broken:
            world.log.append("commit failed")
            raise Unavailable("the disk is full")
        world.commits.append([_name(record) for record in records])
        world.log.append(f"commit {' '.join(world.commits[-1])}")

    def raise_epoch(self, epoch: int) -> None:
        if self._world.epoch_broken:
            raise Unavailable("the disk is full")
        self._world.log.append(f"epoch {epoch}")

    def close(self) -> None:
        raise NotImplementedError


def _name(record: Record) -> str:
    match record:
        case LockGranted(lock):
            return f"granted:{lock.id}"
        case LockEnded(lock):
            return f"ended:{lock.id}"
    return type(record).__name__
