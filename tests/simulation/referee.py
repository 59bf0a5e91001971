"""Watches over the laws while a world runs: after every event of every daemon, at every commit and at every answer.

What it knows it knows from the world itself (who is on which GPU, what the store has, what is on the disk), not from
the core that it judges. What it finds ends the world.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from gpulockd.core.actions import Action, Answer, DrainSet, LockEnded, LockGranted, Record, Refuse
from gpulockd.core.events import (
    AcquireRequested,
    DeadlineReached,
    Event,
    GpusSampled,
    ProcessExited,
    Restored,
    SessionClosed,
)
from gpulockd.core.invariants import InvariantBroken, check, recorded
from gpulockd.core.lease import STOP
from gpulockd.core.machine import Machine
from gpulockd.core.model import Lock, Wish
from gpulockd.core.placement import gates
from gpulockd.core.settings import Settings

from .history import Asked, Granted, Left

if TYPE_CHECKING:
    from .daemon import Daemon
    from .hardware import Body
    from .world import World


NEW = 10**9
"""Above the number of every request that comes from before a restart."""


class ObservedMachine(Machine):
    """The real core; the referee sees every event and every action."""

    def __init__(self, settings: Settings, daemon: Daemon) -> None:
        super().__init__(settings)
        self.daemon = daemon

    def handle(self, event: Event, now: float) -> list[Action]:
        """What is due happens first in any case. Apart from the event, so that it is clear what led to what."""
        due = self.next_deadline
        actions: list[Action] = []
        if due is not None and due <= now:
            actions += self._observed(DeadlineReached(), now)
        return actions + self._observed(event, now)

    def _observed(self, event: Event, now: float) -> list[Action]:
        referee = self.daemon.world.referee
        referee.before(self.daemon, event, now)
        actions = self.react(event, now)
        referee.after(self.daemon, event, now, actions)
        return actions

    def react(self, event: Event, now: float) -> list[Action]:
        """The core itself. Planted bugs stand here."""
        return super().handle(event, now)


class Referee:
    """Of one world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.history: dict[str, list[Asked | Granted | Left]] = defaultdict(list)
        """Of each host."""
        self.events = 0
        self._open: dict[str, dict[tuple[int, int], bool]] = {}
        """Requests that were not answered yet, by daemon."""
        self._fence: dict[str, int] = {}
        """The largest token of each GPU since the store forgot."""
        self._last: dict[tuple[str, str], int] = {}
        """The last token of each host and GPU."""
        self._good: dict[tuple[str, str], float] = {}
        """When the last good claim or renewal was sent, by daemon and GPU."""
        self._leased_since_forgotten: set[tuple[str, str]] = set()
        self._behind: dict[tuple[str, str], list[tuple[Body, int]]] = {}
        """What holders that went without a word have left on the GPUs of a host, and since which visit to it."""
        self._unheard: dict[tuple[str, str], list[Body]] = {}
        """The holders of GPUs that did not come back after a restart, and have not let go."""
        self._sick: dict[tuple[str, str], bool] = {}
        self._drained: dict[tuple[str, str], bool] = {}
        """By daemon and GPU, what its driver and its administrator have said."""

    # What happens.

    def before(self, daemon: Daemon, event: Event, now: float) -> None:
        self.events += 1
        match event:
            case AcquireRequested(session, msgid, wish):
                waiting = self._open.setdefault(daemon.instance, {})
                if session in daemon.machine.state.sessions and (session, msgid) not in waiting:
                    waiting[session, msgid] = True
                    named = tuple(sorted(f"GPU-{selector}" for selector in wish.selectors))
                    candidates = named or tuple(daemon.host.uuids)
                    since, tie = self._place(daemon, session, wish, now)
                    self.history[daemon.host.name].append(
                        Asked(since, tie, daemon.instance, (session, msgid), wish.count, candidates, wish.priority)
                    )
            case Restored(drains=drains):
                self._drained.update({(daemon.instance, uuid): True for uuid in drains})
            case GpusSampled(samples):
                for uuid, sample in samples.items():
                    self._sick[daemon.instance, uuid] = sample.fault is not None
            case _:
                pass

    def _place(self, daemon: Daemon, session: int, wish: Wish, now: float) -> tuple[float, int]:
        """When a request was first made: before a restart, where its client asks again and its place was kept. And
        what decides among those of one moment."""
        state = daemon.machine.state
        asker = state.sessions[session]
        same = [
            (kept.queued_at, kept.rank[1])
            for kept in state.absent.values()
            if asker.reattach is not None
            and (kept.reattach, kept.owner.process) == (asker.reattach, asker.owner.process)
            and replace(kept.wish, wait_timeout=0.0) == replace(wish, wait_timeout=0.0)
        ]
        return min(same, default=(now, NEW + self.events))

    def after(self, daemon: Daemon, event: Event, now: float, actions: Sequence[Action]) -> None:
        world = self._world
        if isinstance(event, (SessionClosed, ProcessExited)):  # first: what they waited for may go to the next
            sessions = daemon.machine.state.sessions
            for key in [key for key in self._open.get(daemon.instance, ()) if key[0] not in sessions]:
                self._left(daemon, key, now)
        for action in actions:
            if isinstance(action, DrainSet):
                self._drained[daemon.instance, action.gpu] = action.reason is not None
            elif isinstance(action, LockGranted):
                self._granted(daemon, action.lock, now)
            elif isinstance(action, LockEnded):
                self._ended(daemon, action, now)
            elif isinstance(action, Answer):
                if action.result.get("nested") is False:
                    self._told_of_grant(daemon, action, now)
                self._left(daemon, (action.session, action.msgid), now)
            elif isinstance(action, Refuse) and action.msgid is not None:
                self._left(daemon, (action.session, action.msgid), now)
        try:
            check(daemon.machine)
        except InvariantBroken as broken:
            world.finding("invariant", f"{daemon.instance}, after {type(event).__name__}: {broken}")

    def committed(self, daemon: Daemon, records: Iterable[Record]) -> None:
        if (wrong := daemon.host.disk.requests.keys() ^ recorded(daemon.machine.state)) != set():
            names = ", ".join(sorted(wrong))
            self._world.finding("recorded requests", f"{daemon.instance} wrote down {names}, or waits for it: not both")
        for record in records:
            if isinstance(record, LockGranted):
                lock, host = record.lock, daemon.host.name
                self._world.tell(host, f"has written down {lock.id}")
                for uuid in lock.gpus:
                    self._last[host, uuid] = max(lock.token, self._last.get((host, uuid), 0))
                    if (daemon.instance, uuid) in self._leased_since_forgotten:
                        self._fence[uuid] = max(lock.token, self._fence.get(uuid, 0))

    def answered(self, daemon: Daemon, session: int, msgid: int, result: Mapping[str, object]) -> None:
        """Law 2: what a client hears of is on the disk."""
        lock, disk = result.get("lock"), daemon.host.disk
        if "env" in result and lock not in disk.locks and result["token"] not in disk.ended:
            self._world.finding("recorded before told", f"{daemon.instance} tells of {lock}, and has not written it")
        if result.get("held") is False and lock in disk.locks:
            self._world.finding("recorded before told", f"{daemon.instance} tells of the end of {lock} too soon")

    def leased(self, daemon: Daemon, sent_at: float, gpus: Iterable[str]) -> None:
        """A claim or renewal that was sent then has succeeded, and its answer has come."""
        for gpu in gpus:
            key = daemon.instance, gpu
            self._good[key] = max(sent_at, self._good.get(key, 0.0))

    def claimed(self, daemon: Daemon, gpus: Iterable[str]) -> None:
        self._leased_since_forgotten.update((daemon.instance, gpu) for gpu in gpus)

    def forgot(self) -> None:
        """The store is empty: what hosts know of each other's tokens is gone with it."""
        self._fence.clear()
        self._leased_since_forgotten.clear()

    def deleted(self, gpu: str) -> None:
        """Somebody deleted the lease of one GPU: who had it does not know yet. Its epochs are still known."""
        self._leased_since_forgotten = {key for key in self._leased_since_forgotten if key[1] != gpu}

    # The laws.

    def _granted(self, daemon: Daemon, lock: Lock, now: float) -> None:
        world, host = self._world, daemon.host
        numbers = tuple(host.index[uuid] for uuid in lock.gpus)
        world.tell(host.name, f"decides: {lock.id} to {lock.owner.command} on GPU {numbers}")
        for uuid in lock.gpus:
            self._in_order(daemon, lock, uuid)
            if (broken := self._forbidden(daemon, lock, uuid, now)) is not None:
                world.finding(*broken)

    def _in_order(self, daemon: Daemon, lock: Lock, uuid: str) -> None:
        """Law 1: the token is larger than every earlier one of this GPU. One that was never written down was never
        given out."""
        world, host = self._world, daemon.host
        last = self._last.get((host.name, uuid), 0)
        fence = self._fence.get(uuid, 0) if (daemon.instance, uuid) in self._leased_since_forgotten else 0
        for whose, token in ((host.name, last), ("another host", fence)):
            if lock.token <= token:
                world.finding("token", f"{lock.id} ({lock.token}) on {uuid}: {whose} gave out {token} for it before")

    def _forbidden(self, daemon: Daemon, lock: Lock, uuid: str, now: float) -> tuple[str, str] | None:
        world, host = self._world, daemon.host
        on_it = host.machine.on_gpu[uuid]
        behind = self._behind.get((host.name, uuid), ())
        left = [body for body, visit in behind if body in on_it and body.visits[uuid] == visit]
        if left and host.machine.driver_tells:
            pids = ", ".join(str(body.pid) for body in left)
            return "orphan", f"{lock.id} is granted while pid {pids} of an earlier holder is still on {uuid}"
        unheard = [body for body in self._unheard.get((host.name, uuid), ()) if body.alive]
        if unheard and not host.machine.driver_tells:
            return "abandoned", f"{lock.id} is granted on {uuid}, which pid {unheard[0].pid} had, lives, and has kept"
        if self._drained.get((daemon.instance, uuid)):
            return "drained", f"{lock.id} is granted on {uuid}, which is drained"
        if self._sick.get((daemon.instance, uuid)):
            return "sick", f"{lock.id} is granted on {uuid}, which is sick"
        if world.store is None:
            return None
        age = now - host.clock_offset - self._good.get((daemon.instance, uuid), -1e9)
        if age >= STOP * world.store.ttl + 1e-6:
            return "lease age", f"{lock.id} is granted on {uuid}, whose lease is {age:.3f} s old"
        lease = world.store.lease(world.schedule.now, uuid)
        known = (daemon.instance, uuid) in self._leased_since_forgotten
        if lease is not None and lease.instance != daemon.instance and known:
            return "lease", f"{lock.id} is granted on {uuid}, which is leased to {lease.instance}"
        return None

    def _ended(self, daemon: Daemon, action: LockEnded, now: float) -> None:
        world, host, lock = self._world, daemon.host, action.lock
        world.tell(host.name, f"decides: {lock.id} has ended, {action.how}")
        voluntary = lock.id in host.given_back
        for uuid in lock.gpus:
            if not voluntary:
                process = lock.owner.process
                on_it = host.machine.on_gpu[uuid]
                mine = [(body, body.visits[uuid]) for body in on_it if body.root == process]
                self._behind.setdefault((host.name, uuid), []).extend(mine)
                owner = host.machine.bodies.get(process.pid)
                if lock.session is None and owner is not None and owner.process == process:
                    self._unheard.setdefault((host.name, uuid), []).append(owner)

    def _told_of_grant(self, daemon: Daemon, answer: Answer, now: float) -> None:
        state = daemon.machine.state
        lock = state.locks.get(str(answer.result["lock"]))
        if lock is not None:
            in_service = tuple(uuid for uuid, gpu in state.gpus.items() if not gates(state, gpu))
            key = answer.session, answer.msgid
            self.history[daemon.host.name].append(Granted(now, daemon.instance, key, lock.gpus, in_service))

    def _left(self, daemon: Daemon, key: tuple[int, int], now: float) -> None:
        if self._open.get(daemon.instance, {}).pop(key, False):
            self.history[daemon.host.name].append(Left(now, daemon.instance, key))
