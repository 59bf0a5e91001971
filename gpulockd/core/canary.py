"""A canary: another configuration for a share of the sessions, watched, and ended by itself where it does harm.

Who has which variant, when a stage may follow which, and what counts as harm; who acts on it is outside.
"""

from __future__ import annotations

import enum
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

STABLE, CANDIDATE = "stable", "candidate"
VARIANTS = (STABLE, CANDIDATE)
_BUCKETS = 10_000
IN_A_ROW = 3
"""So many samples of Redis's CPU in a row have to be too high: one is a moment, three are a load."""


def variant_of(canary: str, percent: float, key: str) -> str:
    """The variant of a session, by its key.

    The same one for as long as the canary and its percentage last. Whoever has the candidate at one percentage has it
    at every higher one; another canary picks others.
    """
    bucket = zlib.crc32(f"{canary}:{key}".encode()) % _BUCKETS
    return CANDIDATE if bucket < percent * _BUCKETS / 100 else STABLE


class Course(enum.StrEnum):
    RUNNING = "running"
    PROMOTED = "promoted"
    """The candidate became everybody's."""
    ABORTED = "aborted"
    """A person ended it."""
    ROLLED_BACK = "rolled-back"
    """The daemon ended it, for the harm it did."""
    EXPIRED = "expired"
    """It was to last no longer."""


def named(canary: str, variant: str) -> str:
    """How a wish bears the variant that it was made under."""
    return f"{canary}/{variant}"


def canary_and_variant(name: str) -> tuple[str, str]:
    """The two of which `named` made it."""
    canary, _, variant = name.partition("/")
    return canary, variant


def outcome_of(kind: str, code: object) -> str | None:
    """What became of a request, by how it was announced: `granted`, `timeout` or `refused`.

    None for what says nothing about a setting: its client took it back, or did not want to wait and found the GPU busy.
    """
    match kind:
        case "lock.granted":
            return "granted"
        case "request.timed-out":
            return "timeout"
        case "request.deadlocked" | "canary.turned-away":
            return "refused"
        case "request.refused" if code != "busy":
            return "refused"
        case _:
            return None


class Step(enum.Enum):
    STAGE = "stage"
    """Another percentage."""
    PROMOTE = "promote"
    ABORT = "abort"
    HARM = "harm"
    EXPIRE = "expire"


TRANSITIONS: dict[tuple[Course, Step], Course] = {
    (Course.RUNNING, Step.STAGE): Course.RUNNING,
    (Course.RUNNING, Step.PROMOTE): Course.PROMOTED,
    (Course.RUNNING, Step.ABORT): Course.ABORTED,
    (Course.RUNNING, Step.HARM): Course.ROLLED_BACK,
    (Course.RUNNING, Step.EXPIRE): Course.EXPIRED,
}
"""A canary that has ended stays so; what is not here is refused."""


@dataclass(slots=True)
class Outcomes:
    """What became of the requests of one variant that have come to an end: see `outcome_of`."""

    granted: int = 0
    timed_out: int = 0
    failed: int = 0
    """Refused, for whatever else: a circle, no lease, more than a setting allows."""

    @property
    def total(self) -> int:
        return self.granted + self.timed_out + self.failed

    @property
    def timeout_share(self) -> float:
        return self.timed_out / self.total if self.total else 0.0

    @property
    def failure_share(self) -> float:
        """Of all that were not granted, those that timed out among them."""
        return (self.timed_out + self.failed) / self.total if self.total else 0.0


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Shares from 0 to 1 that the candidate must not exceed, once `min_requests` of its own have come to an end."""

    timeouts: float = 0.05
    failures: float = 0.10
    redis_cpu: float = 0.80
    min_requests: int = 50


def harm(candidate: Outcomes, redis_cpu: Sequence[float], thresholds: Thresholds) -> str | None:
    """Why the candidate has to go, in words; None as long as it may stay. `redis_cpu`: the last samples."""
    if candidate.total < thresholds.min_requests:
        return None
    for what, share, most in (
        ("of its requests timed out", candidate.timeout_share, thresholds.timeouts),
        ("of its requests failed", candidate.failure_share, thresholds.failures),
    ):
        if share > most:
            return f"{share:.1%} {what} (of {candidate.total}), and {most:.1%} may"
    last = redis_cpu[-IN_A_ROW:]
    if len(last) == IN_A_ROW and min(last) > thresholds.redis_cpu:
        return f"Redis takes {min(last):.0%} of a processor, and {thresholds.redis_cpu:.0%} is the most"
    return None
