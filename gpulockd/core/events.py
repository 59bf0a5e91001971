"""What can happen. Each event is one fact from outside; `machine.Machine.handle` is the only reader."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from .model import GpuIdentity, GpuProcess, LeaseHolder, Lock, Owner, Process, Quarantine, Request, Sample, Wish
from .settings import Settings
from .value import value


@value
class Restored:
    """The journal's content, once, at the start. `alive` are the processes of its owners that still run."""

    locks: tuple[Lock, ...]
    quarantines: Mapping[str, Quarantine]
    drains: Mapping[str, str]
    highest_token: int
    alive: frozenset[Process]
    requests: tuple[Request, ...] = ()
    """Those that waited. Which GPUs each could be granted from is not known yet."""
    ended: frozenset[int] = frozenset()
    """Sessions of the earlier daemon whose connections have ended for certain."""
    tenants: Mapping[str, frozenset[int]] = field(default_factory=dict)
    """By GPU, the pids of processes that still run and have had a lock on it."""


@value
class GpusDiscovered:
    gpus: tuple[GpuIdentity, ...]


@value
class GpusSampled:
    """What the driver says of each GPU."""

    samples: Mapping[str, Sample]
    asked_at: float | None = None
    """When it was asked, for it may be slow; None: just now."""
    holders: Mapping[str, int] = field(default_factory=dict)
    """The pids of those who held the GPUs then."""


@value
class GpuInspected:
    """The answer to `Inspect`: who of the old holder's is still on the GPU. None: the driver never can tell."""

    gpu: str
    culprits: tuple[GpuProcess, ...] | None
    fault: str | None = None
    """Why there was no answer this time; then nothing is known."""


@value
class SessionOpened:
    session: int
    owner: Owner


@value
class SessionAdopted:
    """A connection outlived an earlier daemon, and its session goes on in this one. Comes before `Restored`, which
    gives it back what it held and what it waited for."""

    session: int
    owner: Owner
    client: str = ""
    key: str | None = None
    """Digest of its reattach key."""


@value
class DoorOpened:
    """Clients can connect from now on, once at the start; adopted sessions are heard."""


@value
class SessionIntroduced:
    """A `hello`: `key` is the digest of the key it was answered, `reattach` of the one it brought."""

    session: int
    msgid: int
    client: str
    key: str
    reattach: str | None
    answer: Mapping[str, object] = field(default_factory=dict)
    """What the shell adds to the answer: versions, the key in clear, limits."""


@value
class SessionClosed:
    """The connection ended, whatever the reason."""

    session: int
    how: str = "disconnected"
    """That, where its client ended it; `cut-off`, where the daemon did, and the client may know nothing of it."""


@value
class AcquireRequested:
    """`max_hold` and `wait_timeout` are None where the client left them to the daemon."""

    session: int
    msgid: int
    wish: Wish


@value
class CancelRequested:
    session: int
    msgid: int
    target: int


@value
class ReleaseRequested:
    session: int
    msgid: int | None
    """None: nothing is to be answered, unless it fails."""
    lock: str | None


@value
class ExtendRequested:
    session: int
    msgid: int
    lock: str | None
    max_hold: float


@value
class BeatReported:
    session: int
    msgid: int
    lock: str | None
    progress: float | None
    note: str


@value
class RevokeRequested:
    session: int
    msgid: int
    subject: str
    reason: str
    grace: float | None


@value
class DrainRequested:
    session: int
    msgid: int
    gpu: str | None
    reason: str


@value
class UndrainRequested:
    session: int
    msgid: int
    gpu: str | None


@value
class ProcessExited:
    """The kernel's word that a watched process is gone."""

    process: Process


@value
class SignalRefused:
    """A `Signal` could not be delivered to a living process."""

    lock: str
    why: str


@value
class LeasesClaimed:
    """The answer to `ClaimLeases`. `sent_at` is when it was sent: a lease ages from there."""

    sent_at: float
    epochs: Mapping[str, int]
    refused: Mapping[str, LeaseHolder] = field(default_factory=dict)


@value
class LeasesRenewed:
    """The answer to `RenewLeases`. `lost` are no longer ours; None: nobody's."""

    sent_at: float
    kept: frozenset[str]
    lost: Mapping[str, LeaseHolder | None] = field(default_factory=dict)


@value
class ClaimFailed:
    """Neither yes nor no came back to `ClaimLeases`, or the store refused to work."""

    sent_at: float
    why: str
    reason: str = "other"
    """The why in one word, for counting: one of those that the ports list."""


@value
class RenewalFailed:
    """The same of `RenewLeases`."""

    sent_at: float
    why: str
    reason: str = "other"


@value
class LeaseFreed:
    """Another daemon announced that it let go of these GPUs."""

    gpus: frozenset[str]


@value
class SettingsChanged:
    """The configuration was read again. What arrives from here on is decided by `settings`; locks keep their levels
    and their ends, requests what they were filled in with."""

    settings: Settings


@value
class JournalFailed:
    why: str


@value
class JournalRecovered:
    pass


@value
class DeadlineReached:
    """The time that `Machine.next_deadline` named has come."""


Event = (
    Restored
    | GpusDiscovered
    | GpusSampled
    | GpuInspected
    | SessionOpened
    | SessionAdopted
    | DoorOpened
    | SessionIntroduced
    | SessionClosed
    | AcquireRequested
    | CancelRequested
    | ReleaseRequested
    | ExtendRequested
    | BeatReported
    | RevokeRequested
    | DrainRequested
    | UndrainRequested
    | ProcessExited
    | SignalRefused
    | LeasesClaimed
    | LeasesRenewed
    | ClaimFailed
    | RenewalFailed
    | LeaseFreed
    | SettingsChanged
    | JournalFailed
    | JournalRecovered
    | DeadlineReached
)
