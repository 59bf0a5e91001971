"""What a session is told, read from the daemon's answers and notifications: grants, places in the queue, losses."""

from __future__ import annotations

from .clock import Retry
from .errors import GpulockError, LockLost, ProtocolError, SoftTimeout
from .record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, TypeAlias

    from .documents import EventView


class Gpu(NamedTuple):
    """A GPU that a lock holds."""

    index: int  # type: ignore[assignment]  # nobody looks for the place of an item in it
    uuid: str
    name: str = ""
    memory_total: int = 0
    """Bytes."""


class Grant(NamedTuple):
    """What the daemon granted."""

    lock: str
    token: int
    gpus: tuple[Gpu, ...]
    env: Mapping[str, str]
    max_hold: float | None
    nested: bool


class Queued(NamedTuple):
    """Where a waiting request stands."""

    position: int
    ahead: int
    eta: float | None
    """Seconds, where the daemon can tell."""
    holders: tuple[Mapping[str, Any], ...]
    """Who holds what it waits for: gpu, user, pid, task, held_for, each."""


class Loss(NamedTuple):
    """Why a lock is lost."""

    lock: str
    reason: str
    by: str = ""
    note: str = ""
    deadline: float | None = None
    """Seconds from the notice until the daemon ends the holder; None where it is not the daemon's doing."""

    def error(self) -> LockLost:
        who = f" by {self.by}" if self.by else ""
        why = f": {self.note}" if self.note else ""
        return LockLost(
            f"lock {self.lock} was lost{who} ({self.reason}){why}",
            hint="what was done under it since then was not protected; acquire again",
            data={"lock": self.lock, "reason": self.reason, "by": self.by, "note": self.note},
        )


class Hastened(NamedTuple):
    """The daemon says again that a lock is being taken back: its deadline is sooner, or a connection broke since."""

    deadline: float | None
    """Seconds from this notice, as in `Loss`."""


class Warned(NamedTuple):
    """The daemon warns the holder: the lock is held for long."""

    level: str
    """`warning`, or `soft`: the task is asked to finish."""
    params: Mapping[str, Any]

    def error(self) -> SoftTimeout:
        """For the level `soft`."""
        lock, held_for, deadline = (self.params.get(name) for name in ("lock", "held_for", "deadline"))
        age = f", held for {held_for:.0f} s," if isinstance(held_for, (int, float)) else ""
        end = f": it is taken back {deadline:.0f} s after this was told" if isinstance(deadline, (int, float)) else ""
        return SoftTimeout(
            f"lock {lock}{age} is past its soft timeout",
            hint=f"bring the work to an end and leave the block{end}",
            data={"lock": lock, "held_for": held_for, "deadline": deadline},
        )


class Happened(NamedTuple):
    """An event of the daemon, for a session that watches."""

    event: EventView


class ReleaseFailed(NamedTuple):
    """The daemon's answer to a release that nobody waited for was an error."""

    error: GpulockError


Notice: TypeAlias = "Queued | Loss | Hastened | Warned | Happened | ReleaseFailed"


def read_retry(view: object) -> Retry:
    if not isinstance(view, dict):
        return Retry()  # a daemon that does not say
    return Retry(
        float(view.get("poll_interval", Retry().interval)),
        float(view.get("max_poll_interval", Retry().longest)),
        bool(view.get("exponential_backoff", Retry().exponential)),
    )


def read_grant(result: object) -> Grant:
    try:
        return Grant(
            result["lock"],  # type: ignore[index]
            result["token"],  # type: ignore[index]
            tuple(map(_read_gpu, result["gpus"])),  # type: ignore[index]
            result["env"],  # type: ignore[index]
            result.get("max_hold"),  # type: ignore[attr-defined]
            bool(result.get("nested")),  # type: ignore[attr-defined]
        )
    except (TypeError, KeyError, AttributeError) as error:
        raise ProtocolError(f"the daemon granted a lock of unknown form: {result!r}") from error


def _read_gpu(gpu: Mapping[str, Any]) -> Gpu:
    return Gpu(gpu["index"], gpu["uuid"], gpu.get("name", ""), gpu.get("memory_total", 0))


def read_queued(params: Mapping[str, Any]) -> Queued:
    return Queued(
        int(params.get("position", 0)),
        int(params.get("ahead", 0)),
        params.get("eta"),
        tuple(params.get("holders") or ()),
    )


def read_loss(params: Mapping[str, Any]) -> Loss:
    return Loss(
        str(params.get("lock", "")),
        str(params.get("reason", "lost")),
        str(params.get("by") or ""),
        str(params.get("note") or ""),
        params.get("deadline"),
    )
