"""A whole world from one seed: hosts with GPUs, daemons and workers, a store, and everything that goes wrong.

It has two parts. In the storm, faults come; in the calm that follows nothing fails any more, and everything must come
to a good end: all requests answered, all GPUs granted once more.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count as counting

from gpulock import wire as messages
from gpulock.notices import Loss
from gpulockd.core.events import GpusSampled
from gpulockd.core.model import GpuIdentity, Sample
from gpulockd.core.settings import Levels, Settings
from gpulockd.ports import Saved

from .daemon import Daemon, freed
from .disk import Disk
from .hardware import Machine
from .history import misheld, out_of_turn
from .referee import ObservedMachine, Referee
from .schedule import Schedule
from .store import Store
from .story import Story
from .weather import Weather
from .worker import Administrator, Worker

TTL = 15.0
STORM = 500
"""Steps of a seed: events that reach a core while things go wrong."""
LONGEST_STORM = 20_000.0
"""Seconds of the clock by which it must have come to its steps."""
LONGEST_CALM = 1000.0
"""Seconds within which everything must have come to its end."""


@dataclass(frozen=True, slots=True)
class Finding:
    check: str
    what: str


@dataclass(frozen=True, slots=True)
class Bugs:
    """What a test plants, to see that it is found."""

    machine: Callable[[Settings, Daemon], ObservedMachine] = ObservedMachine
    saved: Callable[[Saved], Saved] = lambda saved: saved
    store: Callable[[float], Store] = Store


@dataclass(frozen=True, slots=True)
class Outcome:
    seed: int
    findings: tuple[Finding, ...]
    steps: int
    """Events that reached a core."""
    happenings: int
    """Callbacks, messages, decisions: everything that was given a place in time."""
    holds: int
    seconds: float
    """Of the world's time."""
    faults: Counter[str]
    digest: str
    story: Story


class Host:
    """A machine, its disk, and its daemon of the moment."""

    def __init__(self, world: World, name: str, gpus: tuple[GpuIdentity, ...], settings: Settings) -> None:
        self.world = world
        self.name = name
        self.settings = settings
        self.uuids = [gpu.uuid for gpu in gpus]
        self.index = {gpu.uuid: gpu.index for gpu in gpus}
        self.machine = Machine(world.schedule, name, gpus, driver_tells=world.chance.random() < 0.85)
        self.clock_offset = world.chance.choice((0.0, 0.0, 5000.0))
        """Two hosts have two clocks."""
        self.disk = Disk()
        self.disk_view = world.bugs.saved
        self.journal_broken = False
        self.no_right_to: set[int] = set()
        self.given_back: set[str] = set()
        """Locks that their holders have let go of themselves."""
        self.runs: list[Daemon] = []
        self.daemon: Daemon | None = None
        self.administrator = Administrator(self)
        self.workers: list[Worker] = []
        self._names = counting(1)

    def boot(self) -> None:
        if self.daemon is None:
            daemon = Daemon(self.world, self, len(self.runs) + 1)
            self.daemon = daemon
            self.runs.append(daemon)
            daemon.start()

    def daemon_died(self, daemon: Daemon) -> None:
        if self.daemon is daemon:
            self.daemon = None
            world = self.world
            away = 0.2 if world.calm else world.chance.choice((0.1, 1.0, 5.0, 30.0))
            world.schedule.at(daemon.loop.time() + away * world.chance.random(), self.boot)

    def hire(self) -> Worker:
        worker = Worker(self.world, self, f"{self.name[-1]}{next(self._names)}")
        self.workers.append(worker)
        if not self.world.calm and self.world.chance.random() < 0.15:
            self.workers.append(Worker(self.world, self, f"{worker.name}-2", worker))
        return worker

    def worker_died(self, worker: Worker) -> None:
        if not self.world.calm:
            self.world.schedule.after(3 * self.world.chance.random(), self.hire)


class World:
    tasks_beat = False
    """Whether whatever workers have to say of their locks is that they get on."""

    def __init__(self, seed: int, bugs: Bugs | None = None, storm: int = STORM) -> None:
        self.seed = seed
        self.bugs = bugs or Bugs()
        self.storm = storm
        self.schedule = Schedule(seed)
        self.chance: random.Random = self.schedule.chance
        self.story = Story()
        self.findings: list[Finding] = []
        self.faults: Counter[str] = Counter()
        self.calm = False
        self.referee = Referee(self)
        self.store_down = False
        self.store_frozen_until = 0.0
        self.store_slow_until = 0.0
        names = self.chance.choice((("host-a",), ("host-a",), ("host-a", "host-b"), ("host-a", "host-b", "host-c")))
        self.weather = Weather.draw(self.chance, len(names))
        alone = len(names) == 1 and self.chance.random() < 0.5
        self.store = None if alone else self.bugs.store(TTL)
        number = self.chance.choice((1, 2, 2, 3))
        gpus = [GpuIdentity(f"GPU-{index}", index, "Simulated GPU", 2**34) for index in range(number)]
        self.hosts = [Host(self, name, self._some(gpus), self._settings(name)) for name in names]
        for host in self.hosts:
            self.schedule.after(self.chance.random(), host.boot)
            for _ in range(self.chance.choice((2, 3, 5) if len(names) < 3 else (2, 3))):
                host.hire()
        self._brew()
        self._calm_began = 0.0
        self._last: list[Worker] = []
        """Those who see at the end whether every GPU is to be had."""

    def _some(self, gpus: list[GpuIdentity]) -> tuple[GpuIdentity, ...]:
        """All GPUs, or those that a host can see: what two of them see may be more than what they share."""
        if self.chance.random() < 0.4:
            return tuple(gpus)
        return tuple(gpu for gpu in gpus if self.chance.random() < 0.7) or (gpus[0],)

    def _settings(self, name: str) -> Settings:
        chance = self.chance
        return Settings(
            host=name,
            max_wait_time=chance.choice((20.0, 60.0)),
            lock_timeout=20.0,
            levels=Levels(20.0, 40.0, 60.0),
            take_back=chance.random() < 0.8,
            priority_head_start=10.0,
            max_overtakes=chance.choice((0, 2, 4)),
            revoke_grace=chance.choice((0.5, 3.0)),
            kill_grace=chance.choice((0.5, 2.0)),
            reattach_grace=chance.choice((5.0, 20.0)),
            kill_orphans=chance.random() < 0.4,
            lease_ttl=TTL if self.store is not None else float("inf"),
            on_loss_revoke=chance.random() < 0.5,
            fallback_timeout=10.0,
        )

    # The run.

    def run(self) -> Outcome:
        schedule = self.schedule
        while schedule and self.referee.events < self.storm and not self.findings:
            schedule.step()
            if schedule.now > LONGEST_STORM:
                self.finding("stuck", f"only {self.referee.events} events have reached a core")
        if not self.findings:
            self._clear_up()
            while not self.findings and not self._over():
                if schedule.now - self._calm_began > LONGEST_CALM or not schedule:
                    self.finding("starved", self._unfinished())
                else:
                    schedule.step()
        self._judge()
        for run in (run for host in self.hosts for run in host.runs):
            run.loop.end()
        return Outcome(
            self.seed,
            tuple(self.findings),
            self.referee.events,
            schedule.happenings,
            sum(len(worker.holds) for host in self.hosts for worker in host.workers),
            schedule.now - 1000.0,
            self.faults,
            self.story.digest(),
            self.story,
        )

    def tell(self, who: str, what: str) -> None:
        self.story.tell(self.schedule.now, who, what)

    def finding(self, check: str, what: str) -> None:
        self.tell("FOUND", f"{check}: {what}")
        self.findings.append(Finding(check, what))

    def make_machine(self, settings: Settings, daemon: Daemon) -> ObservedMachine:
        return self.bugs.machine(settings, daemon)

    def strikes(self, fault: str) -> bool:
        """Whether a fault befalls the action that is just done."""
        if self.calm or not self.schedule.odds(self.weather.odds.get(fault, 0.0)):
            return False
        self.faults[fault] += 1
        return True

    def trip(self) -> float:
        """Seconds from a daemon to the store, or back."""
        if self.calm:
            return 0.001
        if self.schedule.now < self.store_slow_until:
            return self.chance.uniform(0.2, 0.49)
        return self.chance.choice((0.001, 0.02, 0.2))

    def released(self, daemon: Daemon, gpus: frozenset[str]) -> None:
        for host in self.hosts:
            if host is daemon.host or self.strikes("announcement lost"):
                continue
            for _ in range(2 if self.strikes("announcement doubled") else 1):
                self.schedule.after(self.trip(), self._tell_freed, host, gpus)

    def _tell_freed(self, host: Host, gpus: frozenset[str]) -> None:
        if host.daemon is not None:
            freed(host.daemon, gpus)

    def lost(self, worker: Worker, loss: Loss | None) -> None:
        """A worker found out that its lock is gone."""
        self.tell(worker.name, f"has lost its lock: {loss.reason if loss else 'nobody says why'}")
        away = 0.0 if worker.away_since is None else self.schedule.now - worker.away_since
        if loss is not None and loss.reason == "not-reattached" and away < worker.host.settings.reattach_grace:
            self.finding("lost", f"the lock of {worker.name} is gone, which was away for {away:.1f} s: {loss.note}")

    # What goes wrong.

    def _brew(self) -> None:
        if self.weather.spells:
            self.schedule.after(2 * self.weather.every * self.chance.random(), self._spell)

    def _spell(self) -> None:
        if not self.calm:
            spell = self.chance.choice(self.weather.spells)
            self.faults[spell] += 1
            self._cast(spell, self.chance.choice(self.hosts))
            self._brew()

    def _cast(self, spell: str, host: Host) -> None:
        schedule, chance, daemon = self.schedule, self.chance, host.daemon
        lasts = chance.choice((0.5, 4.0, 12.0, 25.0)) * chance.random()
        worker = chance.choice(host.workers)
        self.tell("world", f"{spell} ({host.name}, {worker.name}, {lasts:.1f} s)")
        match spell:
            case "daemon killed" if daemon is not None:
                daemon.kill("somebody killed it")
            case "daemon stopped" if daemon is not None and daemon.serving:
                daemon.loop.start(daemon.stop())
            case "daemon paused" if daemon is not None:
                daemon.loop.pause(lasts)
            case "store forgets" if self.store is not None:
                self.store.forget()
                self.referee.forgot()
            case "lease deleted" if self.store is not None:
                uuid = chance.choice(host.uuids)
                self.store.leases.pop(uuid, None)
                self.referee.deleted(uuid)
            case "store down":  # one that goes down is slow before
                self.store_slow_until = schedule.now + 3.2
                schedule.after(3.0, self._store_goes_down, lasts + 6.0)
            case "store frozen":
                self.store_slow_until = schedule.now + 3.2
                self.store_frozen_until = schedule.now + lasts
            case "store slow":
                self.store_slow_until = schedule.now + 2 * lasts
            case "journal broken":
                host.journal_broken = True
                schedule.after(lasts, self._mend_journal, host)
            case "driver silent":
                host.machine.driver_silent_until = schedule.now + lasts
            case "driver slow":
                host.machine.driver_slow_until = schedule.now + lasts
            case "gpu sick":
                uuid = chance.choice(host.uuids)
                self._sample(host, uuid, "it has fallen off the bus")
                schedule.after(lasts, self._sample, host, uuid, None)
            case "gpu drained" | "lock revoked":
                self._administer(host, spell, lasts)
            case "worker killed":
                worker.die("somebody killed it")
            case "worker frozen":
                worker.freeze(lasts)
            case "worker hangs in the driver":
                worker.hang(lasts)
            case "no right to signal":
                host.no_right_to ^= {1000}

    def _store_goes_down(self, lasts: float) -> None:
        if not self.calm:
            self.store_down = True
            self.schedule.after(lasts, self._store_up)

    def _store_up(self) -> None:
        self.store_down = False

    def _mend_journal(self, host: Host) -> None:
        host.journal_broken = False

    def _sample(self, host: Host, uuid: str, fault: str | None) -> None:
        if host.daemon is not None:
            host.daemon.from_outside(GpusSampled({uuid: Sample(fault=fault)}))

    def _administer(self, host: Host, what: str, lasts: float) -> None:
        """Through a session of root's, as gpulockctl does."""
        index = str(self.chance.choice(sorted(host.index.values())))
        if what == "lock revoked":
            grace = self.chance.choice((None, 0.0, 2.0))
            host.administrator.order("revoke", {"subject": index, "grace": grace})
            return
        host.administrator.order("drain", {"gpu": index, "reason": "for a while"})
        self.schedule.after(lasts, host.administrator.order, "undrain", {"gpu": index})

    def _put_back_in_service(self, host: Host) -> None:
        """Again and again: the daemon may be away just now, or have an earlier order to read."""
        if host.disk.drains:
            host.administrator.order("undrain", {})
        for worker in self._waited_for(host):
            worker.die("an administrator ends it, for its GPU waits for that")
        if not self._last:
            self.schedule.after(1.0, self._put_back_in_service, host)

    def _waited_for(self, host: Host) -> list[Worker]:
        """Whose end would make a GPU clear, of which the driver cannot tell."""
        gpus = host.daemon.engine.state.gpus.values() if host.daemon is not None else ()
        pids = {gpu.quarantine.holder.process.pid for gpu in gpus if gpu.quarantine and gpu.quarantine.awaited}
        return [worker for worker in host.workers if worker.alive and worker.body.pid in pids]

    # The calm.

    def _clear_up(self) -> None:
        self.tell("world", "it clears up: nothing goes wrong from here on")
        self.calm = True
        self.store_down, self.store_frozen_until = False, 0.0
        self._calm_began = self.schedule.now
        for host in self.hosts:
            host.journal_broken = False
            host.no_right_to.clear()
            host.machine.driver_silent_until = host.machine.driver_slow_until = 0.0
            for uuid in host.uuids:
                self._sample(host, uuid, None)
            self._put_back_in_service(host)
            for worker in host.workers:
                worker.frozen_until = worker.hangs_until = 0.0
                if not worker.alive:
                    worker.child_ends()
                    host.machine.leave(worker.body)
                worker.again(1.0)

    def _over(self) -> bool:
        """Whether everybody has finished, and after that every GPU was granted once more."""
        if not self._last:
            if not all(self._has_finished(host) for host in self.hosts) or not self._all_leased():
                return False
            for host in self.hosts:
                assert host.daemon is not None
                for gpu in host.daemon.engine.state.gpus.values():
                    if gpu.epoch is not None:
                        self._last.append(self._last_worker(host, gpu.identity.index))
            return False
        return all(worker.jobs and worker.answered and worker.session.phase == "idle" for worker in self._last) and all(
            host.daemon is not None and not host.daemon.engine.state.locks for host in self.hosts
        )

    def _all_leased(self) -> bool:
        """Whether every GPU is some daemon's."""
        states = [host.daemon.engine.state for host in self.hosts if host.daemon is not None]
        leased = {uuid for state in states for uuid, gpu in state.gpus.items() if gpu.epoch is not None}
        return leased.issuperset(uuid for host in self.hosts for uuid in host.uuids)

    def _has_finished(self, host: Host) -> bool:
        return (
            host.daemon is not None
            and host.daemon.serving
            and all(not worker.alive or (worker.answered and worker.session.phase == "idle") for worker in host.workers)
            and not host.daemon.engine.state.locks
            and not host.disk.drains
            and not self._waited_for(host)
        )

    def _last_worker(self, host: Host, index: int) -> Worker:
        """Asks for one GPU, and must get it."""
        worker = host.hire()
        self.schedule.after(2.0, worker.ask, messages.Acquire((str(index),), wait_timeout=60.0))
        return worker

    def _unfinished(self) -> str:
        workers = [
            f"{worker.name} ({worker.session.phase})"
            for host in self.hosts
            for worker in host.workers
            if worker.alive and not (worker.answered and worker.session.phase == "idle")
        ]
        return f"not finished, though nothing goes wrong any more: {', '.join(workers) or 'the daemons'}"

    def _judge(self) -> None:
        for host in self.hosts if not self.findings else ():
            if host.daemon is not None and (stray := host.daemon.watched_in_vain()):
                self.finding("watched in vain", f"{host.daemon.instance} still watches {stray}, which have no session")
        granted = {gpu for worker in self._last for hold in worker.holds for gpu in hold.gpus}
        for host in self.hosts:
            for gpu in sorted({*host.index.values()} - granted) if not self.findings else ():
                self.finding("leaked", f"GPU {gpu} was not granted to anybody, though nobody has it")
        for host in self.hosts:
            holds = [hold for worker in host.workers for hold in worker.finished()]
            for what in misheld(holds, host.name):
                self.finding("history", what)
            settings, history = host.settings, self.referee.history[host.name]
            for what in out_of_turn(history, settings.priority_head_start, settings.max_overtakes):
                self.finding("order", what)


def simulate(seed: int, bugs: Bugs | None = None) -> Outcome:
    """One seed from its beginning to its end."""
    return World(seed, bugs).run()
