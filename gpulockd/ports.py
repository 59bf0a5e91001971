"""What the daemon needs from outside, as Protocols. Adapters implement them; `app` gives them to whoever needs one.

No adapter knows another one. What an adapter has to report on its own account (a process exited, a lease was
freed elsewhere) it posts as an event, through the `Post` it was given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from .core.actions import Announce, Notify, Record, Refusal
from .core.events import Event
from .core.model import GpuIdentity, GpuProcess, LeaseHolder, Lock, Owner, Process, Quarantine, Request, Sample, State

Post = Callable[[Event], None]
"""Hands an event to the engine. Never blocks; call it on the event loop's thread."""


View = Callable[[State, float], Mapping[str, object]]
"""A question to the core's state at a time: pure, and may raise `core.actions.Refused`."""


class Mailbox(Protocol):
    """How a session's requests reach the core, in the order in which they came."""

    def post(self, event: Event) -> None: ...

    def ask(self, session: int, msgid: int, view: View) -> None:
        """Answers the session with `view` of the state after everything posted before it."""
        ...


LEASE_FAULTS = (
    *("timeout", "refused", "nosocket", "noaccess", "noname", "network", "tls", "connections", "nomaster"),
    *("auth", "noperm", "readonly", "masterdown", "noreplicas", "clusterdown", "oom", "misconf", "evicting"),
    *("loading", "busy", "commands", "wrongtype", "descriptors", "journal", "other"),
)
"""Why an operation on a lease can fail, each in one word, for counting. `journal`: the store granted a lease whose
epoch could not be written down here."""


class Unavailable(Exception):
    """Something outside does not work at present: what, why, and what to do; `reason` is the why in one word."""

    def __init__(self, message: str, reason: str = "other") -> None:
        super().__init__(message)
        self.reason = reason


class StartupRefused(Exception):
    """The daemon must not start like this. The message says why, `hint` the way out."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class AlreadyRunning(StartupRefused):
    """Another daemon of this host has what this one would need."""


class Clock(Protocol):
    boot_id: str

    def now(self) -> float:
        """Seconds since boot, suspend included (CLOCK_BOOTTIME)."""
        ...

    def wall(self) -> float:
        """Seconds since 1970, for people to read; nothing is decided by it."""
        ...


class Alarm(Protocol):
    """Rings once, at a time of the clock that made it, or soon after; at once if that is over."""

    def set(self, at: float) -> None:
        """Instead of what was set before."""
        ...

    def close(self) -> None:
        """It rings no more. May be called again."""
        ...


class AlarmClock(Clock, Protocol):
    def alarm(self, ring: Callable[[], None]) -> Alarm:
        """Calls `ring` on the event loop's thread, where it is made. Raises `OSError` where no descriptor is left."""
        ...


@dataclass(frozen=True, slots=True)
class Saved:
    """What a journal has kept."""

    locks: tuple[Lock, ...] = ()
    quarantines: Mapping[str, Quarantine] = field(default_factory=dict)
    drains: Mapping[str, str] = field(default_factory=dict)
    highest_token: int = 0
    requests: tuple[Request, ...] = ()
    """Those that waited, in their order."""
    tenants: Mapping[str, tuple[Process, ...]] = field(default_factory=dict)
    """By GPU, those who have had a lock on it, and may be on it still."""
    journal: bytes = field(default=b"", compare=False)
    """The id of the journal: another one for one that was begun anew, or that may have forgotten something."""


@dataclass(frozen=True, slots=True)
class Author:
    """Who changes the configuration, as the kernel attests it; without a uid no client: the start, a signal."""

    user: str
    uid: int | None = None
    pid: int | None = None
    command: str = ""


class Journal(Protocol):
    def load(self) -> Saved:
        """Everything kept. Raises `StartupRefused` for a file that cannot be trusted."""
        ...

    def commit(self, records: Sequence[Record]) -> None:
        """Writes all records as one transaction, or none.

        Raises `Unavailable`; the same records may then be given again.
        """
        ...

    def raise_epoch(self, epoch: int) -> None:
        """Remembers, through a power cut too, that tokens of this epoch are about to be given out."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Claimed:
    """Epochs of the leases that were granted, and who has the others."""

    epochs: Mapping[str, int]
    refused: Mapping[str, LeaseHolder]


@dataclass(frozen=True, slots=True)
class Renewed:
    kept: frozenset[str]
    lost: Mapping[str, LeaseHolder | None]


class Leases(Protocol):
    """The leases of this host's GPUs. Every operation raises `Unavailable` when no clear answer came in time.

    `ttl` is infinite where a lease cannot expire. The same `attempt` number marks the same request.
    """

    ttl: float
    kind: str
    """`redis` or `local`, for people."""

    async def claim(self, attempt: int, gpus: Sequence[str], floor: int, held: Sequence[str] = ()) -> Claimed:
        """Asks for the leases of `gpus`, with epochs above `floor`.

        The host makes the tokens of all its GPUs from its highest epoch. So what is granted counts for those in
        `held` too, which it has already: whoever has them next gets a larger epoch than that.
        """
        ...

    async def renew(self, attempt: int, epochs: Mapping[str, int], snapshot: Mapping[str, object]) -> Renewed:
        """Extends the leases and publishes `snapshot` as what this host says of itself."""
        ...

    async def release(self, epochs: Mapping[str, int]) -> None:
        """Lets go, and tells the daemons that wait for these GPUs."""
        ...

    async def fleet(self) -> list[Mapping[str, object]]:
        """The snapshot of every host that shares the store, with `age` in seconds."""
        ...

    async def listen(self, post: Post) -> None:
        """Posts `LeaseFreed` for as long as it runs; cancelled at the end."""
        ...

    async def close(self) -> None: ...


CANARY_REMEMBERED = 7 * 86400.0
"""Seconds for which the hosts remember a canary that has ended, or that none of them mentions any more."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What the hosts that share a store have agreed on about a canary."""

    document: bytes
    revision: int
    left: float
    """Seconds that it lasts; infinite for as long as any host speaks of it."""
    ours: bool = False
    """Whether it is what was put just now."""


class SharedCanary(Protocol):
    """Where several hosts agree on one canary. Every operation raises `Unavailable` when no clear answer came."""

    async def put(self, change: str, based_on: int, document: bytes, lasts: float, endless: bool) -> Standing:
        """Puts `document` in the place of the revision `based_on`, unless there is a later one by now; then that is
        returned. `change` names the change: put twice, it is one."""
        ...

    async def standing(self) -> Standing | None: ...


class Inventory(Protocol):
    """The host's GPUs. No call blocks the loop or outlasts its deadline."""

    simulated: bool
    driver: str
    """Driver and its version, for people."""

    async def discover(self) -> tuple[GpuIdentity, ...]:
        """Raises `StartupRefused` where there is no driver or no GPU."""
        ...

    async def sample(self) -> Mapping[str, Sample]:
        """Every GPU's state now; a sick or silent one has a `fault`, the others are as they are."""
        ...

    async def processes(self, gpu: str) -> tuple[GpuProcess, ...] | None:
        """Who is on the GPU; None where the driver cannot tell.

        Raises `Unavailable` when no answer came: the GPU is sick or silent, and may be tried again.
        """
        ...

    async def close(self) -> None: ...


class Processes(Protocol):
    """Processes of this host, through pidfds."""

    def identify(self, pid: int, uid: int, gid: int, pidfd: int | None) -> Owner:
        """Who a peer is, as the kernel and /proc say. Takes over `pidfd`, and watches it from here on:
        `ProcessExited` is posted once when the process ends. Pair each call with one `forget`.

        Raises `ConnectionAbortedError` for a peer that has ended already, and another `OSError` where no descriptor
        is left.
        """
        ...

    def watch(self, process: Process) -> bool:
        """Posts `ProcessExited` when it ends; False: it already has. Pair each call that does not raise with one
        `forget`. Raises `OSError` where no descriptor is left."""
        ...

    def forget(self, process: Process) -> None: ...

    def alive(self, process: Process) -> bool:
        """Whether it may still run: also one that cannot be seen (`start_time` 0)."""
        ...

    def signal(self, process: Process, signal: int) -> None:
        """Raises `PermissionError`, also for one that cannot be seen, or `ProcessLookupError` where it has ended."""
        ...

    def end(self, stray: GpuProcess, signal: int) -> None:
        """Signals a process that `kin` named; one that has gone, or that we have no right to, stays as it is."""
        ...

    def kin(self, holder: Owner, others: Sequence[GpuProcess]) -> tuple[GpuProcess, ...] | None:
        """Those of `others` that belong to `holder`, each with its tie: itself, its descendants, its process session
        and group, the control group that it had for itself. None where that cannot be said of any of them."""
        ...

    def annotate(self, processes: Sequence[GpuProcess]) -> tuple[GpuProcess, ...]:
        """The same, with user, command and container where they can be told."""
        ...


class Clients(Protocol):
    """The connected clients: what the engine has to say to them."""

    def answer(self, session: int, msgid: int, result: Mapping[str, object]) -> None: ...

    def refuse(self, session: int, msgid: int | None, refusal: Refusal) -> None:
        """Without a `msgid`: a release that was not to be answered."""
        ...

    def notify(self, notice: Notify) -> None: ...

    def disconnect(self, session: int) -> None:
        """Ends the connection of a session that the core has already closed; it reports nothing back."""
        ...


class Safekeeping(Protocol):
    """Whoever has to know, should the daemon be killed, which sessions it was about to tell something."""

    def brace(self, sessions: Iterable[int]) -> None:
        """These are answered next, in any order with the commit that goes before: until `settled`, nobody can say
        whether they have heard."""
        ...

    def settled(self) -> None:
        """A turn is over: everything posted before it has been handled, and the journal has all that was told."""
        ...


class DescriptorStore(Protocol):
    """Where descriptors are kept that outlive the daemon. Nothing of it blocks."""

    limit: int
    """How many it keeps; it drops the others without a word."""

    def keep(self, name: str, descriptor: int, sent: Callable[[], None]) -> None:
        """Has it kept by that name. `sent` is called when that can no longer fail; until then, or until the name is
        dropped, the descriptor has to stay open."""
        ...

    def drop(self, name: str) -> None: ...

    def hasten(self) -> None:
        """Has everything kept now that is still to be."""
        ...

    async def settle(self) -> None:
        """Returns when everything is kept, or after some seconds at most."""
        ...


Observer = Callable[[Announce], None]
"""Hears of everything that happened, after it was recorded: the log, metrics, `watch`."""
