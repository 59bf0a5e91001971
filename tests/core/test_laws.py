"""The laws, held against whatever can happen in whatever order: a hypothesis state machine over the core.

Beside the core runs a much simpler world: it knows who was told what, what was recorded, which processes live and
what is on each GPU. The laws are checked in that world's terms, and the core's own invariants after every event.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gpulockd.core import events
from gpulockd.core.actions import (
    Action,
    Announce,
    Answer,
    ClaimLeases,
    Disconnect,
    DrainSet,
    Inspect,
    LockChanged,
    LockEnded,
    LockGranted,
    Notify,
    QuarantineSet,
    Refuse,
    RenewLeases,
    RequestLeft,
    RequestWaits,
    Signal,
    Unwatch,
    Watch,
)
from gpulockd.core.circles import closed_by
from gpulockd.core.invariants import check, recorded
from gpulockd.core.machine import Machine
from gpulockd.core.model import (
    COUNTER_BITS,
    GpuProcess,
    LeaseHolder,
    Lock,
    Owner,
    Process,
    Quarantine,
    Request,
    Sample,
    Wish,
)
from gpulockd.core.settings import Settings

from .script import BOOT, identity, uuid

GPUS = 3
TTL = 15.0
STOP = 0.55 * TTL

CLIENT = st.integers(0, 4)
GPU = st.integers(0, GPUS - 1)
SECONDS = st.one_of(st.floats(0, 3), st.floats(0, 30))
WAIT = st.one_of(st.just(math.inf), st.just(0.0), st.floats(0, 60))
HOLD = st.one_of(st.just(math.inf), st.floats(0, 60))
WANT = st.one_of(st.just(1), st.integers(1, GPUS), st.lists(GPU, min_size=1, max_size=2, unique=True).map(tuple))
MOSTLY = st.sampled_from([True, True, True, True, False])


class Laws(RuleBasedStateMachine):
    @initialize(revoke=st.booleans(), overtakes=st.integers(0, 3), elsewhere=st.sets(GPU, max_size=1))
    def start(self, revoke: bool, overtakes: int, elsewhere: set[int]) -> None:
        self.settings = Settings(
            lease_ttl=TTL, on_loss_revoke=revoke, max_overtakes=overtakes, reattach_grace=20.0, priority_head_start=10.0
        )
        self.now = 100.0
        self.numbers = 0
        self.alive: set[Process] = set()
        self.clients: list[int] = []
        self.of: dict[int, Process] = {}  # session -> process
        self.on_gpu: dict[str, set[int]] = {uuid(index): set() for index in range(GPUS)}
        # The store: each GPU has an epoch counter of its own.
        self.counter: dict[str, int] = dict.fromkeys(self.on_gpu, 0)
        self.leased: dict[str, int] = {}
        self.elsewhere = {uuid(index) for index in elsewhere}  # what another host has leased
        self.forgotten = 0  # the highest epoch that an emptied store has known; the other host knows it
        self.good_at = dict.fromkeys(self.on_gpu, -math.inf)  # when what renewed its lease last was sent
        # The journal: what a new daemon would find.
        self.kept: dict[str, Lock] = {}
        self.quarantines: dict[str, Quarantine] = {}
        self.drains: dict[str, str] = {}
        self.highest = 0
        # The world's own account.
        self.holder: dict[str, str | None] = dict.fromkeys(self.on_gpu)
        self.last_token: dict[str, int] = dict.fromkeys(self.on_gpu, 0)
        self.unclear: set[str] = set()  # left without a word, and not seen clear since
        self.waiting: dict[tuple[int, int], tuple[Wish, int]] = {}
        self.arrivals = 0
        self.recorded: dict[str, Request] = {}
        self.arrived: dict[str, int] = {}
        self.voluntary: str | None = None  # the lock that its holder is just giving back
        self.boot()
        self.the_store_answers(True)
        for _ in range(5):
            self.connect()

    def boot(self) -> None:
        """A daemon starts on what the journal has."""
        self.machine = Machine(self.settings)
        self.inspections: list[Inspect] = []
        self.claims: list[tuple[float, ClaimLeases]] = []
        self.renewals: list[tuple[float, RenewLeases]] = []
        self.waiting.clear()
        self.feed(events.GpusDiscovered(tuple(identity(index) for index in range(GPUS))))
        locks = tuple(replace(lock, session=None) for lock in self.kept.values())
        kept = dict(self.quarantines), dict(self.drains), self.highest
        requests = tuple(replace(each, session=0, msgid=0, recorded=True) for each in self.recorded.values())
        self.feed(events.Restored(locks, *kept, frozenset(self.alive), requests))

    # The world.

    def feed(self, event: events.Event) -> None:
        actions = self.machine.handle(event, self.now)
        for action in actions:
            self.record(action)
        for action in actions:
            self.perform(action)

    def record(self, action: Action) -> None:
        match action:
            case LockGranted(lock):
                self.granted(lock)
                self.kept[lock.id] = lock
                self.highest = max(self.highest, lock.token)
            case LockChanged(lock):
                self.kept[lock.id] = lock
            case LockEnded(lock, _, how):
                del self.kept[lock.id]
                voluntary = self.voluntary == lock.id
                assert voluntary or how != "released"
                for gpu in lock.gpus:
                    assert self.holder[gpu] == lock.id
                    self.holder[gpu] = None
                    if not voluntary:
                        self.unclear.add(gpu)
            case RequestWaits(request):
                self.recorded[request.id] = replace(request)
                self.arrived[request.id] = self.waiting[request.session, request.msgid][1]
            case RequestLeft(request_id):
                del self.recorded[request_id]
            case QuarantineSet(gpu, None):
                assert gpu not in self.unclear, "law 3: cleared, and nobody has seen that it is clear"
                del self.quarantines[gpu]
            case QuarantineSet(gpu, entry) if entry is not None:
                self.quarantines[gpu] = entry
            case DrainSet(gpu, None):
                self.drains.pop(gpu, None)
            case DrainSet(gpu, reason) if reason is not None:
                self.drains[gpu] = reason

    def granted(self, lock: Lock) -> None:
        for gpu in lock.gpus:
            assert self.holder[gpu] is None, "law 1: granted while held"
            assert lock.token > self.last_token[gpu], "law 1: the token did not grow"
            assert gpu not in self.unclear, "law 3: granted before it was seen clear"
            assert gpu not in self.drains, "law 7: granted while drained"
            epoch = self.machine.state.gpus[gpu].epoch
            assert epoch is not None, "law 7: granted without a lease"
            assert lock.token >> 32 >= epoch, "the token is older than the lease"
            self.holder[gpu] = lock.id
            assert self.now - self.good_at[gpu] < STOP, "law 6: granted on a lease that is too old"
            self.last_token[gpu] = lock.token

    def perform(self, action: Action) -> None:
        match action:
            case Answer(session, msgid, result):
                if "env" in result:
                    assert result["lock"] in self.kept, "law 2: told before it was recorded"
                    self.in_turn(session, msgid, bool(result["nested"]))
                self.waiting.pop((session, msgid), None)
            case Refuse(session, int(msgid), _):
                self.waiting.pop((session, msgid), None)
            case Inspect():
                self.inspections.append(action)
            case ClaimLeases():
                self.claims.append((self.now, action))
            case RenewLeases():
                self.renewals.append((self.now, action))
            case Signal(lock_id, _, _) if lock_id in self.kept:
                assert self.kept[lock_id].recall is not None, "law 3: signalled without being told"
            case Signal() | Disconnect() | Announce() | Notify() | Watch() | Unwatch():
                pass

    def in_turn(self, session: int, msgid: int, nested: bool) -> None:
        """Law 8: among equal wishes of one priority, nobody is granted before one who came earlier."""
        if nested or (session, msgid) not in self.waiting:
            return
        wish, arrived = self.waiting[session, msgid]
        for other, earlier in self.waiting.values():
            same = (other.count, other.selectors, other.priority) == (wish.count, wish.selectors, wish.priority)
            assert not (same and earlier < arrived), "law 8: overtaken by an equal"

    # What clients do.

    def connect(self) -> None:
        self.numbers += 1
        process = Process(1000 + self.numbers, self.numbers, BOOT)
        self.alive.add(process)
        self.clients.append(self.open(process))

    def open(self, process: Process) -> int:
        self.numbers += 1
        self.of[self.numbers] = process
        self.feed(events.SessionOpened(self.numbers, Owner(process, 1000, 1000, "anna", admin=True)))
        self.feed(events.SessionIntroduced(self.numbers, 1, "test", f"key {process.pid}", f"key {process.pid}"))
        return self.numbers

    def client(self, which: int) -> int:
        """A connected client; one that was cut off connects again and brings its key, a dead one is replaced."""
        place = which % len(self.clients)
        client = self.clients[place]
        if client not in self.machine.state.sessions:
            if self.of[client] in self.alive:
                self.clients[place] = self.open(self.of[client])
            else:
                del self.clients[place]
                self.connect()
                return self.clients[-1]
        return self.clients[place]

    @rule(which=CLIENT, want=WANT, wait=WAIT, hold=HOLD, priority=st.integers(-1, 1))
    def asks(self, which: int, want: tuple[int, ...] | int, wait: float, hold: float, priority: int) -> None:
        client = self.client(which)
        selectors = () if isinstance(want, int) else tuple(str(index) for index in want)
        count = want if isinstance(want, int) else len(want)
        notify = frozenset({"queued", "lost"})
        wish = Wish(count, selectors, wait_timeout=wait, max_hold=hold, priority=priority, notify=notify)
        self.arrivals += 1
        self.waiting[client, self.arrivals] = (wish, self.arrival(self.of[client], wish))
        self.feed(events.AcquireRequested(client, self.arrivals, wish))

    def arrival(self, process: Process, wish: Wish) -> int:
        """Of a wish that an earlier daemon was asked for already, when that was."""
        for request in sorted(self.machine.state.absent.values(), key=lambda each: each.rank):
            if request.owner.process == process and replace(request.wish, wait_timeout=wish.wait_timeout) == wish:
                return self.arrived[request.id]
        return self.arrivals

    @rule(first=CLIENT, wait=WAIT)
    def all_ask(self, first: int, wait: float) -> None:
        for which in range(first, first + len(self.clients)):
            self.asks(which, 1, wait, math.inf, 0)

    @rule(which=CLIENT)
    def releases(self, which: int) -> None:
        client = self.client(which)
        for lock in sorted(self.machine.state.sessions[client].locks):
            self.voluntary = lock
            self.feed(events.ReleaseRequested(client, None if self.arrivals % 2 else 900_000, lock))
            self.voluntary = None

    @rule(which=CLIENT)
    def disconnects(self, which: int) -> None:
        client = self.client(which)
        self.gone({client})
        self.feed(events.SessionClosed(client))

    @rule(which=CLIENT, leaves=st.booleans())
    def dies(self, which: int, leaves: bool) -> None:
        process = self.of[self.client(which)]
        if leaves:
            for lock in self.kept.values():
                if lock.owner.process == process:
                    for gpu in lock.gpus:
                        self.on_gpu[gpu].add(process.pid)
        self.alive.discard(process)
        self.gone({session for session, other in self.of.items() if other == process})
        self.feed(events.ProcessExited(process))

    @rule(which=CLIENT)
    def cancels(self, which: int) -> None:
        client = self.client(which)
        for target in sorted(self.machine.state.sessions[client].requests)[:1]:
            self.feed(events.CancelRequested(client, 900_001, target))

    def gone(self, gone: set[int]) -> None:
        self.waiting = {key: wish for key, wish in self.waiting.items() if key[0] not in gone}

    @rule(which=CLIENT, gpu=GPU, what=st.sampled_from(["revoke", "drain", "undrain", "undrain"]), grace=SECONDS)
    def an_administrator(self, which: int, gpu: int, what: str, grace: float) -> None:
        client = self.client(which)
        match what:
            case "revoke":
                self.feed(events.RevokeRequested(client, 900_002, str(gpu), "", grace))
            case "drain":
                self.feed(events.DrainRequested(client, 900_003, str(gpu), "test"))
            case _:
                self.feed(events.UndrainRequested(client, 900_004, None))

    # What the machine and the store do.

    @rule(seconds=SECONDS)
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.feed(events.DeadlineReached())

    @rule(seconds=st.floats(0, 20))
    def the_daemon_sleeps(self, seconds: float) -> None:
        self.now += seconds  # and the next event finds it so

    @rule(answers=MOSTLY)
    def the_driver_answers(self, answers: bool) -> None:
        inspections, self.inspections = self.inspections, []
        for inspection in inspections:
            gpu = inspection.gpu
            if not answers:
                self.feed(events.GpuInspected(gpu, None, fault="no answer"))
                continue
            culprits = tuple(GpuProcess(pid, 1) for pid in sorted(self.on_gpu[gpu]))
            if not culprits:
                self.unclear.discard(gpu)
            self.feed(events.GpuInspected(gpu, culprits))

    @rule(answers=MOSTLY)
    def the_store_answers(self, answers: bool) -> None:
        claims, self.claims = self.claims, []
        renewals, self.renewals = self.renewals, []
        if not answers:
            for sent_at, _ in claims:
                self.feed(events.ClaimFailed(sent_at, "no answer"))
            for sent_at, _ in renewals:
                self.feed(events.RenewalFailed(sent_at, "no answer"))
            return
        for sent_at, claim in claims:
            self.store_grants(sent_at, claim)
        for sent_at, renewal in renewals:
            self.store_renews(sent_at, renewal)

    def store_grants(self, sent_at: float, claim: ClaimLeases) -> None:
        granted = [gpu for gpu in claim.gpus if gpu not in self.elsewhere]
        if granted:
            epoch = max(claim.floor, *(self.counter[gpu] for gpu in granted)) + 1
            self.counter.update({gpu: max(epoch, self.counter[gpu]) for gpu in (*granted, *claim.held)})
            self.leased.update(dict.fromkeys(granted, epoch))
            self.good_at.update(dict.fromkeys(granted, sent_at))
        refused = {gpu: LeaseHolder("other", 1, TTL) for gpu in claim.gpus if gpu in self.elsewhere}
        self.feed(
            events.LeasesClaimed(sent_at, dict.fromkeys(granted, self.leased[granted[0]]) if granted else {}, refused)
        )

    def store_renews(self, sent_at: float, renewal: RenewLeases) -> None:
        kept = frozenset(gpu for gpu, epoch in renewal.epochs.items() if self.leased.get(gpu) == epoch)
        self.good_at.update({gpu: max(self.good_at[gpu], sent_at) for gpu in kept})
        other = LeaseHolder("other", 1, TTL)
        lost = {gpu: other if gpu in self.elsewhere else None for gpu in renewal.epochs if gpu not in kept}
        self.feed(events.LeasesRenewed(sent_at, kept, lost))

    @rule(gpu=GPU.map(uuid), lets_go=MOSTLY)
    def another_host(self, gpu: str, lets_go: bool) -> None:
        """It lets a GPU go, or leases one whose lease has run out while the daemon was frozen, and grants it there."""
        if lets_go:
            self.elsewhere.discard(gpu)
            self.feed(events.LeaseFreed(frozenset({gpu})))
        elif gpu not in self.elsewhere:
            if self.machine.state.gpus[gpu].epoch is not None:
                self.now = max(self.now, self.good_at[gpu] + TTL)
            self.leased.pop(gpu, None)
            self.elsewhere.add(gpu)
            self.counter[gpu] = max(self.counter[gpu], self.forgotten) + 1
            token = self.counter[gpu] << COUNTER_BITS
            assert token > self.last_token[gpu], "law 1: the other host's token is not larger"
            self.last_token[gpu] = token

    @rule(what=st.sampled_from(["orphans end", "sick", "well", "store emptied", "journal", "daemon killed"]), gpu=GPU)
    def something_else(self, what: str, gpu: int) -> None:
        match what:
            case "orphans end":
                for pids in self.on_gpu.values():
                    pids.clear()
            case "sick" | "well":
                self.feed(events.GpusSampled({uuid(gpu): Sample(fault="GPU is lost" if what == "sick" else None)}))
            case "store emptied":
                self.forgotten = max(self.forgotten, *self.counter.values())
                # A host learns of another one's tokens from the store alone.
                self.last_token = {gpu: min(token, self.highest) for gpu, token in self.last_token.items()}
                self.counter = dict.fromkeys(self.counter, 0)
                self.leased.clear()
            case "journal":
                self.feed(events.JournalFailed("disk full"))
                self.feed(events.JournalRecovered())
            case "daemon killed":
                self.good_at = dict.fromkeys(self.on_gpu, -math.inf)
                self.boot()

    @invariant()
    def the_core_agrees_with_itself(self) -> None:
        check(self.machine)

    @invariant()
    def the_journal_has_the_requests_that_wait(self) -> None:
        assert self.recorded.keys() == recorded(self.machine.state)

    @invariant()
    def the_core_agrees_with_the_world(self) -> None:
        held: dict[str, str | None] = {gpu.uuid: gpu.lock for gpu in self.machine.state.gpus.values()}
        assert held == self.holder
        waits = {(request.session, request.msgid) for request in self.machine.state.requests.values()}
        assert waits == set(self.waiting), "a request is waiting here and not there"

    @invariant()
    def nobody_waits_in_a_circle(self) -> None:
        for request in self.machine.state.requests.values():
            assert not closed_by(self.machine.turn, request)


def a_long_run() -> Any:
    return settings(
        max_examples=300, stateful_step_count=60, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )


TestLaws = Laws.TestCase
TestLaws.settings = a_long_run()
