"""The only loop: feeds the core, performs its actions, and returns what came of them as events.

What arrives in one turn of the event loop is handled together. All records that the core decides on in that turn
are committed as one transaction, and only then is anything else of the turn performed: an answer, a signal, a
notification. That is the second law, and it is kept here and nowhere else. When the journal cannot be written,
what an event that led to a record has to tell stays back, in order, until it can; the rest goes on, the leases first,
and locks are taken back all the same: where a lease runs out, holders have to be gone before a full disk is mended.

A release, too, is committed in its own turn, though its client hardly ever waits for the answer and a commit is most
of what it costs. Left for the next turn, it would be lost with a daemon that is killed in between: whoever has been
told `released` would be given its lock back by the next daemon, and a GPU that nobody wants any more would stand idle
for the grace of a reattachment. It costs nothing where it matters: the `acquire` that a busy client sends after it
comes in the same turn, and so does the grant to the next in the queue.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import anyio.abc

from .core import views
from .core.actions import (
    Announce,
    Answer,
    ClaimLeases,
    Disconnect,
    Effect,
    Inspect,
    LockGranted,
    Notify,
    Record,
    Refuse,
    Refused,
    RenewLeases,
    RequestLeft,
    RequestUnmet,
    Signal,
    TenantsSeen,
    Unwatch,
    Watch,
)
from .core.events import (
    ClaimFailed,
    DeadlineReached,
    Event,
    GpuInspected,
    JournalFailed,
    JournalRecovered,
    LeasesClaimed,
    LeasesRenewed,
    ProcessExited,
    RenewalFailed,
    SignalRefused,
)
from .core.machine import Machine
from .core.model import Process, State
from .ports import (
    Alarm,
    AlarmClock,
    Clients,
    Inventory,
    Journal,
    Leases,
    Observer,
    Processes,
    Safekeeping,
    Unavailable,
    View,
)

log = logging.getLogger(__name__)

JOURNAL_RETRY = 1.0
"""Seconds between two attempts to write a journal that failed."""
WATCH_RETRY = 1.0
"""Seconds between two attempts to watch a process, for want of a descriptor."""


class Question(NamedTuple):
    """A session's question to the state, in its place among the events."""

    session: int
    msgid: int
    view: View


Outcome = tuple[Sequence[Effect], bool]
"""What the core wants done about one event, records apart; and whether that has to wait for the journal to have a
record of the same event. That a request waits no more, or got no lock, is no such record: a restart would ask it
back for nothing, and a client whose wait has ended must not hang on a full disk. Nor is what a look at a GPU found:
whatever else it has to tell, that it is sick say, is true without a journal."""

UNBINDING = (RequestLeft, RequestUnmet, TenantsSeen)


class Engine:
    """Runs a `Machine` between its ports. All methods belong to the event loop's thread."""

    def __init__(
        self,
        machine: Machine,
        *,
        clock: AlarmClock,
        journal: Journal,
        leases: Leases,
        inventory: Inventory,
        processes: Processes,
        clients: Clients,
        announce: Observer,
        safekeeping: Safekeeping | None = None,
        introduce: Callable[[Mapping[str, object]], Mapping[str, object]] = lambda snapshot: snapshot,
    ) -> None:
        """`introduce` adds to a host's snapshot what the core does not know: pid, version."""
        self._machine = machine
        self._clock = clock
        self._journal = journal
        self._leases = leases
        self._inventory = inventory
        self._processes = processes
        self._safekeeping = safekeeping
        self._introduce = introduce
        self._inbox: list[Event | Question] = []
        self._unwritten: list[Record] = []
        self._held_back: list[Effect] = []
        self._failing = False
        """Whether the journal is being tried again and again."""
        self._alarm: Alarm | None = None
        self._rings_at: float | None = None
        self._errands: asyncio.TaskGroup | None = None
        self._unwatched: list[Process] = []
        """Those that could not be watched, once for each time: they are not to be forgotten either."""
        self._turned = asyncio.Event()
        self._stopped = False
        self._broken: asyncio.Future[None] | None = None
        self._perform: dict[type, Callable[[Any], None]] = {
            Answer: lambda action: clients.answer(action.session, action.msgid, action.result),
            Refuse: lambda action: clients.refuse(action.session, action.msgid, action.refusal),
            Notify: clients.notify,
            Disconnect: lambda action: clients.disconnect(action.session),
            Announce: announce,
            Signal: self._signal,
            Watch: self._watch,
            Unwatch: self._unwatch,
            Inspect: lambda action: self._start(self._inspect(action)),
            ClaimLeases: lambda action: self._start(self._claim(action)),
            RenewLeases: lambda action: self._start(self._renew(action)),
        }

    @property
    def state(self) -> State:
        """To look at between turns, never to change."""
        return self._machine.state

    async def run(self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Takes events until it is cancelled.

        Raises whatever goes wrong within a turn: the state in memory can then no longer be trusted, and the journal
        has all that anybody was told, so the daemon ends and the next one begins from there.
        """
        self._loop = asyncio.get_running_loop()
        self._broken = self._loop.create_future()
        self._alarm = self._clock.alarm(self._ring)
        async with (
            asyncio.TaskGroup() as self._errands
        ):  # one of anyio's starts nothing outside of a task, as a turn is
            try:
                if self._inbox:
                    self._loop.call_soon(self._run, self._turn)
                task_status.started()
                await self._broken
            finally:
                self.stop()

    def stop(self) -> None:
        """From here on nothing more happens: closing connections must not look like their clients' going."""
        self._stopped = True
        self._inbox.clear()
        if self._alarm is not None:
            self._alarm.close()

    def post(self, event: Event) -> None:
        """Hands an event to the core, in the turn that is next."""
        self._put(event)

    def ask(self, session: int, msgid: int, view: View) -> None:
        self._put(Question(session, msgid, view))

    def _put(self, item: Event | Question) -> None:
        if self._stopped:
            return
        self._inbox.append(item)
        if len(self._inbox) == 1 and self._errands is not None:
            self._loop.call_soon(self._run, self._turn)

    async def turned(self) -> None:
        """Returns after a turn has run through: proof that the engine makes progress."""
        self._turned.clear()
        self.post(DeadlineReached())
        await self._turned.wait()

    def _run(self, step: Callable[[], None]) -> None:
        """Runs a turn, or another try to write the journal, and ends the engine where it goes wrong."""
        if self._stopped:
            return
        try:
            step()
        except BaseException as error:  # noqa: BLE001  # handed on as it is
            self.stop()
            assert self._broken is not None, "turns are taken only while the engine runs"
            self._broken.set_exception(error)

    def _turn(self) -> None:
        inbox, self._inbox = self._inbox, []
        now, before = self._clock.now(), len(self._unwritten)
        outcomes = [self._outcome_of(item, now) for item in inbox]
        if self._safekeeping is not None:
            self._safekeeping.brace(_answered(outcomes))
        self._conclude(outcomes, recorded=len(self._unwritten) > before)
        if self._safekeeping is not None and not self._unwritten:
            self._safekeeping.settled()
        self._set_alarm()
        self._turned.set()

    def _outcome_of(self, item: Event | Question, now: float) -> Outcome:
        """Asks the core, and puts records where they wait to be written."""
        if isinstance(item, Question):
            return (self._answer_to(item, now),), False
        effects: list[Effect] = []
        bound = False
        for action in self._machine.handle(item, now):
            if isinstance(action, Record):
                self._unwritten.append(action)
                bound = bound or type(action) not in UNBINDING
            else:
                effects.append(action)
        return effects, bound

    def _answer_to(self, question: Question, now: float) -> Effect:
        try:
            return Answer(question.session, question.msgid, question.view(self.state, now))
        except Refused as refused:
            return Refuse(question.session, question.msgid, refused.refusal)

    def _conclude(self, outcomes: Sequence[Outcome], *, recorded: bool) -> None:
        """Commits, then performs. A turn that recorded nothing waits for no journal."""
        written = not recorded or self._write()
        if recorded and written:
            self._perform_held_back()
        for effects, bound in outcomes:
            if bound and not written:
                self._hold_back(effects)
            else:
                self._perform_all(effects)

    def _hold_back(self, effects: Sequence[Effect]) -> None:
        """Performs only what does not wait for the journal: it tells nobody what is not written yet.

        That somebody got no lock is nothing to be written, whatever else became due in the same moment.
        A daemon that dies before it has recorded that it takes a lock back leaves the next one a lock whose holder
        is about to let go; that is safe. A lock that is not recorded itself is unknown to its holder.
        """
        unrecorded = {record.lock.id for record in self._unwritten if isinstance(record, LockGranted)}
        for effect in effects:
            match effect:
                case ClaimLeases() | RenewLeases() | Refuse():
                    waits = False
                case Signal(lock) | Notify(_, "lost", {"lock": lock}):
                    waits = lock in unrecorded
                case _:
                    waits = True
            if waits:
                self._held_back.append(effect)
            else:
                self._perform[type(effect)](effect)

    def _perform_held_back(self) -> None:
        effects, self._held_back = self._held_back, []
        self._perform_all(effects)

    def _perform_all(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            self._perform[type(effect)](effect)

    def _write(self) -> bool:
        try:
            self._journal.commit(self._unwritten)
        except Unavailable as error:
            if not self._failing:
                self._failing = True
                self.post(JournalFailed(str(error)))
                self._loop.call_later(JOURNAL_RETRY, self._run, self._write_again)
            return False
        self._unwritten.clear()
        return True

    def _write_again(self) -> None:
        if not self._write():
            self._loop.call_later(JOURNAL_RETRY, self._run, self._write_again)
            return
        self._failing = False
        self._perform_held_back()
        self.post(JournalRecovered())

    def _set_alarm(self) -> None:
        """Sees to it that the alarm rings by the next deadline. One that rings too early costs a turn without events,
        once; to move it with every lock that is granted and let go would cost as much each time."""
        at = self._machine.next_deadline
        if at is None or (self._rings_at is not None and self._rings_at <= at):
            return
        assert self._alarm is not None, "turns are taken only while the engine runs"
        self._rings_at = at
        self._alarm.set(at)

    def _ring(self) -> None:
        self._rings_at = None
        self.post(DeadlineReached())

    # What the actions ask for.

    def _signal(self, action: Signal) -> None:
        if action.lock not in self.state.locks:
            return  # its holder let go in this very turn
        try:
            self._processes.signal(action.process, action.signal)
        except ProcessLookupError:
            self.post(ProcessExited(action.process))
        except PermissionError as error:
            self.post(SignalRefused(action.lock, f"no right to signal pid {action.process.pid}: {error}"))
        except OSError as error:
            self.post(SignalRefused(action.lock, f"pid {action.process.pid} cannot be signalled: {error}"))

    def _watch(self, action: Watch) -> None:
        try:
            alive = self._processes.watch(action.process)
        except OSError as error:  # no descriptor left
            if action.process not in self._unwatched:
                log.error("pid %d cannot be watched yet: %s", action.process.pid, error)
            self._unwatched.append(action.process)
            self._loop.call_later(WATCH_RETRY, self._run, functools.partial(self._watch_again, action))
            return
        if not alive:
            self.post(ProcessExited(action.process))

    def _watch_again(self, action: Watch) -> None:
        if action.process in self._unwatched:
            self._unwatched.remove(action.process)
            self._watch(action)

    def _unwatch(self, action: Unwatch) -> None:
        if action.process in self._unwatched:
            self._unwatched.remove(action.process)  # what is watched of it by now is its sessions
        else:
            self._processes.forget(action.process)

    def _start(self, errand: Coroutine[None, None, None]) -> None:
        assert self._errands is not None, "actions are performed only while the engine runs"
        self._errands.create_task(errand)

    async def _inspect(self, action: Inspect) -> None:
        try:
            seen = await self._inventory.processes(action.gpu)
        except Unavailable as error:
            self.post(GpuInspected(action.gpu, None, fault=str(error)))
            return
        culprits = None if seen is None else self._processes.kin(action.holder, self._processes.annotate(seen))
        if action.signal is not None:
            for culprit in culprits or ():
                self._processes.end(culprit, action.signal)
        self.post(GpuInspected(action.gpu, culprits))

    async def _claim(self, action: ClaimLeases) -> None:
        sent_at = self._clock.now()
        try:
            claimed = await self._leases.claim(action.attempt, action.gpus, action.floor, action.held)
            if claimed.epochs:
                self._journal.raise_epoch(max(claimed.epochs.values()))
        except Unavailable as error:
            self.post(ClaimFailed(sent_at, str(error), error.reason))
        else:
            self.post(LeasesClaimed(sent_at, claimed.epochs, claimed.refused))

    async def _renew(self, action: RenewLeases) -> None:
        sent_at = self._clock.now()
        snapshot = self._introduce(views.snapshot(self.state, sent_at))
        try:
            renewed = await self._leases.renew(action.attempt, action.epochs, snapshot)
        except Unavailable as error:
            self.post(RenewalFailed(sent_at, str(error), error.reason))
        else:
            self.post(LeasesRenewed(sent_at, renewed.kept, renewed.lost))


def _answered(outcomes: Sequence[Outcome]) -> Iterator[int]:
    """The sessions whose requests are answered."""
    return (effect.session for effects, _ in outcomes for effect in effects if isinstance(effect, (Answer, Refuse)))
