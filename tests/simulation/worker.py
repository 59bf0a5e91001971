"""Simulated workers: processes that want GPUs, hold them, let go, forget to, freeze, and die.

Each has the client's real session state (`gpulock.session`) over a simulated socket; what the shells of the client do
around it (connect, wait, look for a daemon that went away) is done here in short.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

from demo.history import Hold
from gpulock import wire as messages
from gpulock.notices import Loss
from gpulock.rpc import request
from gpulock.session import Session

from .hardware import Body
from .wire import Wire

if TYPE_CHECKING:
    from .world import Host, World

USERS = (1000, 1001)
"""Whose processes they are."""


@dataclass(slots=True)
class OpenHold:
    """A lock from the moment at which its worker heard of it."""

    token: int
    lock: str
    gpus: tuple[int, ...]
    uuids: tuple[str, ...]
    start: float
    end: float | None = None
    killed: bool = False


class Worker:
    """One process, and the session that it has."""

    def __init__(self, world: World, host: Host, name: str, twin: Worker | None = None) -> None:
        """`twin`: another thread of the same process, with a session of its own."""
        self.world = world
        self.host = host
        self.name = name
        self.twin = twin
        if twin is None:
            self.body = host.machine.spawn(USERS[world.chance.randrange(len(USERS))], self._signalled)
        else:
            self.body, twin.twin = twin.body, self
        self.child: Body | None = None
        """A process that it started, which uses its GPUs too."""
        self.session: Session
        self.broken_at: float | None
        """When the connection broke, whether it has noticed or not."""
        self._sessions = 0
        self._new_session()
        self.wire: Wire | None = None
        self.holds: list[OpenHold] = []
        self.frozen_until = 0.0
        self.hangs_until = 0.0
        """In the driver, where not even SIGKILL reaches it."""
        self.away_since: float | None = None
        """When the connection broke that the present one stands in for."""
        self.asked_at = 0.0
        self.wait: float | None = None
        self.obedient = world.chance.random() < 0.7
        """Whether it lets go when it is told to, and ends at SIGTERM."""
        self.answered = True
        self.inbox: list[tuple[Wire, bytes | None]] = []
        self.jobs = 0
        self._appointment = 0
        self._call: int | None = None
        """Something else that it has asked."""
        self.again(1.0)

    @property
    def alive(self) -> bool:
        return self.body.alive

    @property
    def holding(self) -> OpenHold | None:
        return self.holds[-1] if self.holds and self.holds[-1].end is None else None

    # What it decides.

    def act(self, appointment: int) -> None:
        """Its own next step."""
        world, session = self.world, self.session
        if not self.alive or appointment != self._appointment:
            return
        if self.frozen_until > world.schedule.now:
            world.schedule.at(self.frozen_until, self.act, appointment)
            return
        if self.wire is None and session.phase != "lost":
            self._connect()
        match session.phase:
            case "idle" if self.wire is not None and session.introduced:
                if world.calm:
                    return
                self._ask()
            case "held":
                self._work()
            case "lost":
                self._let_go("it is lost")
                session.release()
                self.again(0.1)
            case "waiting" | "leaving" | "idle":
                self._wait()

    def again(self, within: float) -> None:
        """Its next step comes within so many seconds, instead of any that was to come."""
        self._appointment += 1
        self.world.schedule.after(within * self.world.chance.random(), self.act, self._appointment)

    def _connect(self) -> None:
        """Whoever finds nobody at the door tries again later, or gives up in time."""
        session, now = self.session, self.world.schedule.now
        if self.broken_at is not None and now - self.broken_at > session.grace and session.phase in ("held", "leaving"):
            session.give_up()
            self._let_go("the daemon stayed away")
            self._new_session()
            self.again(1.0)
            return
        daemon = self.host.daemon
        wire = Wire(self.world.schedule, self, self.body.pid, self.body.uid)
        if daemon is None or not daemon.connect(wire):
            return
        self.wire, self.away_since, self.broken_at = wire, self.broken_at, None
        left = None if self.wait is None else max(self.asked_at + self.wait - now, 0.001)
        session.connected(left)
        self._send()

    def _ask(self) -> None:
        world, chance = self.world, self.world.chance
        count = chance.choice((1, 1, 1, 2))
        indexes = sorted(self.host.index.values())
        gpus: int | tuple[str, ...] = min(count, len(indexes))
        if chance.random() < 0.25:
            gpus = (str(chance.choice(indexes)),)
        self.wait = chance.choice((0.0, 2.0, 10.0, 60.0, None))
        self.asked_at = world.schedule.now
        wish = messages.Acquire(
            gpus,
            wait_timeout=self.wait,
            max_hold=chance.choice((None, 2.0, 8.0)),
            priority=chance.choice((0, 0, 0, 1)),
            task=self.name,
            within=self._outer_lock(),
            notify=("queued", "lost") if chance.random() < 0.7 else (),
        )
        self.ask(wish)

    def _outer_lock(self) -> str | None:
        """The lock of the other thread, where it says that it works inside of that."""
        hold = self.twin.holding if self.twin is not None else None
        return hold.lock if hold is not None and self.world.chance.random() < 0.5 else None

    def ask(self, wish: messages.Acquire) -> None:
        self.answered = False
        self.jobs += 1
        self.world.tell(self.name, f"wants {wish.gpus}, priority {wish.priority}, waits {wish.wait_timeout}")
        self.session.acquire(wish)
        self._send()
        self.again(2.0)

    def _work(self) -> None:
        """It holds a lock: goes on, says so, or ends in one of the ways in which workers end."""
        world, session, what = self.world, self.session, self.world.chance.random()
        if session.loss is not None and not self.obedient and not world.calm:
            self.again(5.0)  # it does not listen
        elif world.calm or session.loss is not None or what < 0.5:
            self.release()
        elif what < 0.6:
            self.die("by itself")
        elif what < 0.67:
            self._walk_away()
        elif what < 0.85 and session.introduced:
            self._say_something()
            self.again(2.0)
        else:
            self.again(4.0)

    def _say_something(self) -> None:
        """Something else than letting go."""
        chance, hold = self.world.chance, self.holding
        lock = hold.lock if hold is not None else None
        method, params = chance.choice(
            (
                ("beat", {"progress": 0.5, "lock": lock}),
                ("extend", {"max_hold": chance.choice((1.0, 10.0, 50.0)), "lock": lock}),
                ("status", {}),
                ("queue", {}),
                ("why", {"subject": chance.choice(self.host.uuids)}),
            )
        )
        if self.world.tasks_beat:
            self._call = self.session.call("beat", {"lock": lock})
        else:
            self._call = self.session.call(method, params)
        self._send()

    def release(self) -> None:
        hold, session = self.holding, self.session
        self._let_go("it is done")
        if hold is not None:
            self._leave_gpus(hold)
            self.host.given_back.add(hold.lock)
        # Some have it answered, as the asyncio client does, and some do not, as the blocking one.
        session.release(answered=hold is not None and hold.lock[-1] in "02468")
        self._send()
        self.again(1.0)

    def _walk_away(self) -> None:
        """Closes its connection without a word, and is on the GPU a little longer."""
        self.world.tell(self.name, "closes its connection")
        self._let_go("it closes its connection")
        if self.wire is not None:
            self.wire.hang_up()
        self.wire = None
        self._new_session()
        self.again(10.0)

    def _new_session(self) -> None:
        """As the client's shells do: a session that is given up is not used again."""
        self._sessions += 1
        self.session = Session(self.name, key=f"key {self._sessions} of {self.name}")
        self.broken_at = None

    def _wait(self) -> None:
        """For an answer, or for a daemon."""
        now, wait = self.world.schedule.now, self.wait
        patience = self.session.max_wait if wait is None else wait
        if self.wire is None and self.session.phase == "waiting" and now > self.asked_at + patience + 5.0:
            self.world.tell(self.name, "gives up: there is no daemon")
            self.session.abandon()
            self.answered = True
        self.again(2.0 if self.wire is not None else 0.5)

    # What comes over it.

    def freeze(self, seconds: float) -> None:
        self.frozen_until = max(self.frozen_until, self.world.schedule.now + seconds)
        self.world.tell(self.name, f"is stopped for {seconds:.1f} s")

    def hang(self, seconds: float) -> None:
        self.hangs_until = self.world.schedule.now + seconds

    def die(self, why: str) -> None:
        """The process ends; perhaps a child of it lives on, with its socket or on its GPU."""
        world, chance, now = self.world, self.world.chance, self.world.schedule.now
        if not self.alive:
            return
        if now < self.hangs_until:
            world.schedule.at(self.hangs_until, self.die, why)
            return
        world.tell(self.name, f"dies: {why}")
        self.host.machine.exit(self.body)
        cleared = chance.choice((0.0, 0.3, 6.0))
        world.schedule.after(cleared, self.host.machine.leave, self.body)
        for each in (self, self.twin):
            if each is not None:
                each._has_died()
        self.host.worker_died(self)

    def _has_died(self) -> None:
        world, chance = self.world, self.world.chance
        if (hold := self.holding) is not None:
            hold.end, hold.killed = self._had_until(), True
        self.answered = True
        if self.wire is not None and (self.child is None or chance.random() < 0.5):
            self.wire.hang_up()
        self.wire = None
        if self.child is not None and (chance.random() < 0.5 or world.calm):
            world.schedule.after(8 * chance.random(), self.child_ends)

    def child_ends(self) -> None:
        if self.child is not None:
            self.host.machine.exit(self.child)
            self.host.machine.leave(self.child)
            self.child = None

    def _signalled(self, number: int) -> None:
        """By the daemon."""
        if number == signal.SIGKILL or self.obedient:
            self.world.schedule.soon(self.die, signal.Signals(number).name)

    def _child_signalled(self, number: int) -> None:
        self.world.schedule.soon(self.child_ends)

    # What it hears.

    def heard(self, wire: Wire, data: bytes) -> None:
        self._later(wire, data)

    def hung_up(self, wire: Wire) -> None:
        if self.broken_at is None:
            self.broken_at = self.world.schedule.now
        self._later(wire, None)

    def _later(self, wire: Wire, data: bytes | None) -> None:
        """What comes while it is stopped waits in the socket."""
        self.inbox.append((wire, data))
        self._read()

    def _read(self) -> None:
        if not self.alive:
            self.inbox.clear()
            return
        if self.frozen_until > self.world.schedule.now:
            self.world.schedule.at(self.frozen_until, self._read)
            return
        while self.inbox:
            wire, data = self.inbox.pop(0)
            if wire is self.wire:
                self._take(data)

    def _take(self, data: bytes | None) -> None:
        session, before = self.session, self.session.phase
        if data is None:
            self.wire = None
            session.disconnected()
            self.again(0.5)
            return
        notices = session.receive(data)
        self._send()
        if self._call is not None and (answer := session.answer(self._call)) is not None:
            self._call = None
            if answer.error is not None and answer.error["code"] == "not-held" and session.phase == "held":
                self.world.finding("lost", f"{self.name} is told that it does not hold its lock: {answer.error}")
        match before, session.phase:
            case "waiting", "held":
                self._got()
            case "waiting", "idle":
                self.answered = True
                refusal = session.refusal
                self.world.tell(self.name, f"is refused: {refusal.code if refusal else 'nested'}")
                self.again(3.0)
            case "held", "lost":
                self.world.lost(self, session.loss)
                self.again(0.2)
            case "idle", "idle" if session.introduced:
                self.again(0.2)
        for notice in notices:
            if isinstance(notice, Loss) and notice.deadline is not None:
                self.world.tell(self.name, f"hears that it loses {notice.lock}: {notice.reason}")
                self.again(1.0)

    def _got(self) -> None:
        grant, world, machine = self.session.grant, self.world, self.host.machine
        assert grant is not None
        self.answered = True
        indexes = tuple(gpu.index for gpu in grant.gpus)
        uuids = tuple(gpu.uuid for gpu in grant.gpus)
        self.holds.append(OpenHold(grant.token, grant.lock, indexes, uuids, world.schedule.now))
        world.tell(self.name, f"has {grant.lock} (token {grant.token}) on GPU {indexes}")
        machine.enter(self.body, uuids)
        if self.child is None and world.chance.random() < 0.25:
            self.child = machine.spawn(self.body.uid, self._child_signalled, self.body.process)
        if self.child is not None:
            machine.enter(self.child, uuids)
        self.again(4.0)

    def _let_go(self, why: str) -> None:
        """From here on it does not count on its lock."""
        if (hold := self.holding) is not None:
            hold.end = self._had_until()
            self.world.schedule.after(4 * self.world.chance.random(), self._leave_gpus, hold)
            self.world.tell(self.name, f"lets go of {hold.lock}: {why}")

    def _had_until(self) -> float:
        """Now, or when its lock had outlived its connection for as long as one may: whoever is frozen for longer than
        that finds out too late, and only its token keeps it from harm."""
        now, since = self.world.schedule.now, self.broken_at
        if since is None and self.session.phase == "lost":
            since = self.away_since
        return now if since is None else min(now, since + self.host.settings.reattach_grace)

    def _leave_gpus(self, ended: OpenHold) -> None:
        """Those of a lock that it let go, unless the process has them by another one already."""
        if not self.alive:
            return
        present = [each.holding for each in (self, self.twin) if each is not None]
        still = {uuid for hold in present if hold is not None for uuid in hold.uuids}
        left = [uuid for uuid in ended.uuids if uuid not in still]
        self.host.machine.leave(self.body, left)
        if self.child is not None:
            self.host.machine.leave(self.child, left)

    def _send(self) -> None:
        if self.wire is not None:
            self.wire.send(self.session.take_outgoing())

    def finished(self) -> list[Hold]:
        """Its locks, for the judge; not those of which it read when they were gone already."""
        now = self.world.schedule.now
        ends = [(hold, now if hold.end is None else hold.end) for hold in self.holds]
        return [
            Hold(self.name, hold.token, hold.gpus, hold.start, end, hold.killed)
            for hold, end in ends
            if end >= hold.start
        ]


class Administrator:
    """Root on a host, with one command at a time: it connects, orders, and goes."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._body = host.machine.spawn(0, self._signalled)

    def order(self, method: str, params: dict[str, object]) -> None:
        schedule, daemon = self._host.world.schedule, self._host.daemon
        wire = Wire(schedule, self, self._body.pid, 0)
        if daemon is not None and daemon.connect(wire):
            wire.send(request(1, method, params))

    def heard(self, wire: Wire, data: bytes) -> None:
        """The answer: it goes."""
        wire.hang_up()

    def hung_up(self, wire: Wire) -> None:
        """The daemon has died."""

    def _signalled(self, number: int) -> None:
        """It holds no lock, so nobody has a reason to."""
        self._host.world.finding("daemon", f"root was sent signal {number}")
