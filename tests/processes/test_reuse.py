"""Pids that are used again at the worst moment: between any two questions to the kernel.

`LinuxProcesses` runs on a kernel of ours, in which processes end and their pids are given away whenever a seed says
so. Whatever it says of a process must be true of that very process, and no signal may reach another one.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest

from gpulockd.core.events import Event, ProcessExited
from gpulockd.core.model import Process
from gpulockd.processes import LinuxProcesses, linux, proc
from gpulockd.processes.proc import Stat

BOOT = "boot"
PIDS = (101, 102)
WORLDS = 1500
STEPS = 12


class Body:
    """One process of the kernel's, from its start to its end."""

    def __init__(self, pid: int, start_time: int) -> None:
        self.process = Process(pid, start_time, BOOT)
        self.alive = True
        self.signalled = 0


class Kernel:
    """Few pids, which are used again and again. Before each question it answers, something may happen."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.ticks = 1
        self.running: dict[int, Body] = {}
        self.ended: list[Body] = []
        self.descriptors: dict[int, Body] = {}
        self.readers: dict[int, Callable[[], None]] = {}
        self._next = 10
        for pid in PIDS:
            self.spawn(pid)

    def spawn(self, pid: int) -> None:
        self.ticks += self.chance.randrange(1, 3)
        self.running[pid] = Body(pid, self.ticks)

    def something_happens(self) -> None:
        if self.chance.random() < 0.25:
            body = self.running.pop(self.chance.choice(PIDS), None)
            if body is not None:
                body.alive = False
                self.ended.append(body)
        for pid in PIDS:
            if pid not in self.running and self.chance.random() < 0.5:
                self.spawn(pid)

    # What `LinuxProcesses` asks.

    def open_pidfd(self, pid: int) -> int | None:
        self.something_happens()
        body = self.running.get(pid)
        return None if body is None else self.descriptor(body)

    def descriptor(self, body: Body) -> int:
        self._next += 1
        self.descriptors[self._next] = body
        return self._next

    def has_ended(self, pidfd: int) -> bool:
        self.something_happens()
        return not self.descriptors[pidfd].alive

    def stat(self, pid: int) -> Stat | None:
        self.something_happens()
        body = self.running.get(pid)
        return None if body is None else Stat(pid, "S", 1, pid, pid, body.process.start_time)

    def signal(self, pidfd: int, _number: int) -> None:
        self.something_happens()
        body = self.descriptors[pidfd]
        if not body.alive:
            raise ProcessLookupError
        body.signalled += 1

    def close(self, pidfd: int) -> None:
        del self.descriptors[pidfd]

    def add_reader(self, pidfd: int, told: Callable[..., None], *arguments: object) -> None:
        assert pidfd in self.descriptors
        self.readers[pidfd] = lambda: told(*arguments)

    def remove_reader(self, pidfd: int) -> None:
        del self.readers[pidfd]

    def wake_readers(self) -> None:
        for pidfd in list(self.readers):
            if pidfd in self.readers and not self.descriptors[pidfd].alive:
                self.readers[pidfd]()


@contextlib.contextmanager
def a_kernel(monkeypatch: pytest.MonkeyPatch, seed: int) -> Iterator[tuple[Kernel, LinuxProcesses, list[Event]]]:
    kernel, posted = Kernel(seed), list[Event]()
    watching = LinuxProcesses(posted.append, SimpleNamespace(boot_id=BOOT, now=lambda: 0.0), lambda uid, user: False)
    with monkeypatch.context() as patch:
        patch.setattr(linux, "os", SimpleNamespace(close=kernel.close))
        patch.setattr(linux, "_open_pidfd", kernel.open_pidfd)
        patch.setattr(linux, "_ended", kernel.has_ended)
        patch.setattr(linux, "pidfd_send_signal", kernel.signal)
        patch.setattr(linux, "asyncio", SimpleNamespace(get_running_loop=lambda: kernel))
        patch.setattr(proc, "stat", kernel.stat)
        patch.setattr(proc, "command", lambda pid: "")
        patch.setattr(proc, "cgroup", lambda pid: "")
        yield kernel, watching, posted
        watching.close()
    assert not kernel.descriptors, "descriptors are left open"


def test_a_peer_is_who_connected_whoever_has_its_pid_by_now(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its descriptor comes from the kernel, with the connection."""
    identified = 0
    for seed in range(WORLDS):
        with a_kernel(monkeypatch, seed) as (kernel, watching, posted):
            for _ in range(STEPS):
                body = kernel.chance.choice([*kernel.running.values(), *kernel.ended])
                try:
                    owner = watching.identify(body.process.pid, 1000, 1000, kernel.descriptor(body))
                except ConnectionAbortedError:
                    assert not body.alive
                    continue
                identified += 1
                assert owner.process == body.process, f"seed {seed}"
                kernel.something_happens()
                kernel.wake_readers()
            assert all(not body.alive for body in bodies(kernel, posted))
    assert identified > WORLDS, "hardly anybody was identified: the test has shown nothing"


def test_an_owner_from_the_journal_is_nobody_who_has_its_pid_now(monkeypatch: pytest.MonkeyPatch) -> None:
    alive = signalled = 0
    for seed in range(WORLDS):
        with a_kernel(monkeypatch, seed) as (kernel, watching, posted):
            body = kernel.running[PIDS[0]]
            others = [kernel.chance.randrange(2) for _ in range(STEPS)]
            if kernel.chance.random() < 0.5 and watching.watch(body.process):
                alive += 1
            for what in others:
                lived = body.alive
                if what:
                    alive += watching.alive(body.process)
                    assert lived or not watching.alive(body.process), f"seed {seed}: the dead live"
                else:
                    with contextlib.suppress(ProcessLookupError):
                        watching.signal(body.process, 9)
                        signalled += 1
                kernel.wake_readers()
            assert not any(other.signalled for other in everybody(kernel) if other is not body), f"seed {seed}"
            assert {each.process for each in bodies(kernel, posted)} <= {body.process}
            assert not posted or not body.alive, f"seed {seed}: it was said to have ended, and lives"
    assert min(alive, signalled) > WORLDS, "hardly anything has happened: the test has shown nothing"


def everybody(kernel: Kernel) -> list[Body]:
    return [*kernel.running.values(), *kernel.ended]


def bodies(kernel: Kernel, posted: list[Event]) -> list[Body]:
    """Whom the exits that were posted are of."""
    by_process = {body.process: body for body in everybody(kernel)}
    return [by_process[event.process] for event in posted if isinstance(event, ProcessExited)]
