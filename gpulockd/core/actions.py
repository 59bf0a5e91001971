"""What can be asked for. `machine.Machine.handle` answers with these; the engine performs them in order.

Records come first in their effect: the engine commits every record of a turn before it performs anything else
of that turn, so nobody is told what is not yet written.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import field

from .model import Lock, Owner, Process, Quarantine, Request
from .value import value


class Record:
    """What the journal keeps."""

    __slots__ = ()


@value
class LockGranted(Record):
    lock: Lock


@value
class LockChanged(Record):
    """Its session key, its end, its state or its depth is no longer what the journal has."""

    lock: Lock


@value
class LockEnded(Record):
    lock: Lock
    at: float
    how: str
    """`released`, `disconnected`, `died`, `cut-off`, `abandoned`, or the reason of the recall."""
    by: str = ""
    """Who ended it, where that was not its holder."""


@value
class RequestWaits(Record):
    """It could not be granted at once, or its place is no longer what the journal has."""

    request: Request


@value
class RequestLeft(Record):
    """It waits no more: granted, refused or gone."""

    request: str


@value
class RequestUnmet(Record):
    """A request ended without a lock; or so many alike did, none of which had waited, and this was the last."""

    request: Request
    at: float
    how: str
    """`timeout`, `cancelled`, `withdrawn`, `deadlock`, `busy`, `refused`."""
    times: int = 1


@value
class QuarantineSet(Record):
    gpu: str
    quarantine: Quarantine | None


@value
class TenantsSeen(Record):
    """These alone are, or may be, on a GPU of those who have had a lock on it. A lock that is granted after this has
    one more; that needs no record of its own."""

    gpu: str
    start_times: Mapping[int, int]
    """By pid, as in `model.Process`."""


@value
class DrainSet(Record):
    gpu: str
    reason: str | None
    by: str


# Effects: what the outside is asked to do.


@value
class Refusal:
    """An error for a client; `code` is one of `gpulock.errors.CODES`."""

    code: str
    message: str
    hint: str | None = None
    data: Mapping[str, object] = field(default_factory=dict)


class Refused(Exception):
    """Carries a `Refusal` out of a function that cannot answer."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


@value
class Answer:
    """The response to a request."""

    session: int
    msgid: int
    result: Mapping[str, object]


@value
class Refuse:
    session: int
    msgid: int | None
    """None: of a release that was not to be answered."""
    refusal: Refusal


@value
class Notify:
    """A notification to a client that asked for it."""

    session: int
    method: str
    params: Mapping[str, object]


@value
class Disconnect:
    """End a session whose process is dead though its connection is open: a forked child may hold it."""

    session: int


class Severity(enum.IntEnum):
    """As in the `logging` module, which the core does not import."""

    DEBUG = 10
    INFO = 20
    WARNING = 30
    ERROR = 40


@value
class Announce:
    """Something happened: for the log, for metrics, and for whoever watches."""

    kind: str
    """A stable dotted name: `lock.granted`, `request.queued`, `lease.refused`, ..."""
    message: str
    severity: Severity = Severity.INFO
    data: Mapping[str, object] = field(default_factory=dict)


@value
class Signal:
    """Send a signal to a lock's holder, by pidfd."""

    lock: str
    process: Process
    signal: int


@value
class Watch:
    """Report the exit of a process that has no connection (any more)."""

    process: Process


@value
class Unwatch:
    """Its exit concerns nobody any more, or its new connection reports it."""

    process: Process


@value
class Inspect:
    """Find out which processes of the old holder are still on a GPU, and send them `signal` where one is given."""

    gpu: str
    holder: Owner
    signal: int | None = None


@value
class ClaimLeases:
    """Ask for leases on GPUs. A repeated attempt is the same request: it never raises the epoch twice."""

    attempt: int
    gpus: tuple[str, ...]
    floor: int
    """The highest epoch this host knows of; the new one must be larger."""
    held: tuple[str, ...]
    """The GPUs whose leases this host has already: their next epoch must be larger than the new one."""


@value
class RenewLeases:
    attempt: int
    epochs: Mapping[str, int]


Effect = (
    Answer | Refuse | Notify | Disconnect | Announce | Signal | Watch | Unwatch | Inspect | ClaimLeases | RenewLeases
)
Action = Record | Effect
