"""A simulated machine: its processes, its GPUs, and who is on which; with the ports through which daemons see them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gpulockd.core.events import ProcessExited
from gpulockd.core.model import GpuIdentity, GpuProcess, Owner, Process, Sample
from gpulockd.ports import Unavailable

from .schedule import Schedule

if TYPE_CHECKING:
    from .daemon import Daemon


@dataclass(eq=False, slots=True)
class Body:
    """One process."""

    process: Process
    uid: int
    root: Process
    """The worker that it belongs to: itself, or the one that it descends from."""
    signalled: Callable[[int], None]
    alive: bool = True
    watchers: list[Callable[[], None]] = field(default_factory=list)
    """Told when it ends."""
    visits: dict[str, int] = field(default_factory=dict)
    """Which visit to each GPU its last one was."""

    @property
    def pid(self) -> int:
        return self.process.pid


class Machine:
    """What outlives every daemon of a host: processes, and what they do on the GPUs."""

    def __init__(self, schedule: Schedule, host: str, gpus: Sequence[GpuIdentity], *, driver_tells: bool) -> None:
        self.schedule = schedule
        self.host = host
        self.boot_id = f"boot of {host}"
        self.gpus = tuple(gpus)
        self.driver_tells = driver_tells
        """Whether the driver can say who is on a GPU."""
        self.driver_silent_until = 0.0
        self.driver_slow_until = 0.0
        self.bodies: dict[int, Body] = {}
        self.on_gpu: dict[str, list[Body]] = {gpu.uuid: [] for gpu in gpus}
        self.visits = 0
        """How often a process has come onto a GPU."""
        self._next_pid = 100

    def spawn(self, uid: int, signalled: Callable[[int], None], root: Process | None = None) -> Body:
        """A new process. Pids are used again now and then, with another start time."""
        taken = self.bodies.keys() | {body.pid for users in self.on_gpu.values() for body in users}
        free = [pid for pid in range(100, self._next_pid) if pid not in taken]
        if free and self.schedule.odds(0.3):
            pid = free[0]
        else:
            pid, self._next_pid = self._next_pid, self._next_pid + 1
        process = Process(pid, int(self.schedule.now * 100) + 1, self.boot_id)
        body = self.bodies[pid] = Body(process, uid, root or process, signalled)
        return body

    def exit(self, body: Body) -> None:
        """The process ends. What it had on a GPU, the driver clears up in its own time."""
        if not body.alive:
            return
        body.alive = False
        for told in body.watchers:
            told()
        body.watchers.clear()
        if self.bodies.get(body.pid) is body:
            del self.bodies[body.pid]

    def enter(self, body: Body, uuids: Sequence[str]) -> None:
        for uuid in uuids:
            if body not in self.on_gpu[uuid]:
                self.visits += 1
                body.visits[uuid] = self.visits
                self.on_gpu[uuid].append(body)

    def leave(self, body: Body, uuids: Iterable[str] | None = None) -> None:
        """Some of its GPUs, or all."""
        for uuid in self.on_gpu if uuids is None else uuids:
            if body in self.on_gpu[uuid]:
                self.on_gpu[uuid].remove(body)

    def seen(self, uuid: str) -> tuple[GpuProcess, ...]:
        """What the driver says of a GPU at this moment."""
        return tuple(GpuProcess(body.pid, 2**30) for body in self.on_gpu[uuid])


class DriverView:
    """The port `Inventory` of one daemon."""

    simulated = True
    driver = "simulation"

    def __init__(self, machine: Machine, daemon: Daemon) -> None:
        self._machine = machine
        self._daemon = daemon

    async def discover(self) -> tuple[GpuIdentity, ...]:
        return self._machine.gpus

    async def processes(self, gpu: str) -> tuple[GpuProcess, ...] | None:
        machine, schedule, daemon = self._machine, self._machine.schedule, self._daemon
        if not daemon.alive:
            raise asyncio.CancelledError
        answer: asyncio.Future[tuple[GpuProcess, ...] | None] = daemon.loop.create_future()
        slow = schedule.now < machine.driver_slow_until
        delay = schedule.chance.uniform(1.0, 8.0) if slow else 0.05 * schedule.chance.random()

        def look() -> None:
            if schedule.now < machine.driver_silent_until:
                daemon.resolve(answer, Unavailable(f"{gpu} does not answer"))
            else:
                daemon.resolve(answer, machine.seen(gpu) if machine.driver_tells else None)

        schedule.after(delay, look)
        return await answer

    async def sample(self) -> Mapping[str, Sample]:
        raise NotImplementedError("the world itself says how the GPUs are")

    async def close(self) -> None:
        """Nothing to close."""


class KernelView:
    """The port `Processes` of one daemon."""

    def __init__(self, machine: Machine, daemon: Daemon) -> None:
        self._machine = machine
        self._daemon = daemon
        self._named: dict[int, Process] = {}
        self.watched: dict[Process, int] = {}
        """How often each is watched."""

    def identify(self, pid: int, uid: int, gid: int, pidfd: int | None) -> Owner:
        body = self._machine.bodies.get(pid)
        if body is None:
            raise ConnectionAbortedError(3, f"process {pid} connected and has ended")
        self._start(body)
        return Owner(body.process, uid, gid, f"user{uid}", f"worker {pid}", admin=uid == 0)

    def watch(self, process: Process) -> bool:
        body = self._body(process)
        if body is None:
            if process in self.watched:
                self.watched[process] += 1
            return False
        self._start(body)
        return True

    def forget(self, process: Process) -> None:
        if process in self.watched:
            self.watched[process] -= 1
            if not self.watched[process]:
                del self.watched[process]

    def alive(self, process: Process) -> bool:
        return self._body(process) is not None

    def signal(self, process: Process, signal: int) -> None:
        body = self._body(process)
        if body is None:
            raise ProcessLookupError(f"process {process.pid} has ended")
        if body.uid in self._daemon.no_right_to:
            raise PermissionError("Operation not permitted")
        body.signalled(signal)

    def end(self, stray: GpuProcess, signal: int) -> None:
        process = self._named.get(stray.pid)
        if process is not None and (body := self._body(process)) is not None:
            body.signalled(signal)

    def kin(self, holder: Owner, others: Sequence[GpuProcess]) -> tuple[GpuProcess, ...]:
        kin: list[GpuProcess] = []
        self._named = {}
        for other in others:
            body = self._on_a_gpu(other.pid)
            if body is not None and body.root == holder.process:
                kin.append(other)
                self._named[other.pid] = body.process
        return tuple(kin)

    def annotate(self, processes: Sequence[GpuProcess]) -> tuple[GpuProcess, ...]:
        return tuple(processes)

    def _body(self, process: Process) -> Body | None:
        body = self._machine.bodies.get(process.pid)
        return body if body is not None and body.process == process else None

    def _on_a_gpu(self, pid: int) -> Body | None:
        """Also one that has ended and whose memory the driver still clears up: what it was is known."""
        for users in self._machine.on_gpu.values():
            for body in users:
                if body.pid == pid:
                    return body
        return None

    def _start(self, body: Body) -> None:
        process = body.process
        if process not in self.watched:
            self.watched[process] = 0
            body.watchers.append(lambda: self._exited(process))
        self.watched[process] += 1

    def _exited(self, process: Process) -> None:
        """The pidfd becomes readable: a moment later, or much later where the daemon is busy."""
        delay = self._machine.schedule.chance.choice((0.0, 0.001, 0.01))
        self._machine.schedule.after(delay, self._tell, process)

    def _tell(self, process: Process) -> None:
        if process in self.watched:
            self._daemon.from_outside(ProcessExited(process))
