"""What has happened since the daemon started, in figures: counters and distributions, and nothing that grows.

Whatever is counted is there from the start, at 0. What an event is counted as follows from its kind alone, by one
look into a table: most of these are on the way of every grant.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..core.actions import Announce
from ..core.canary import VARIANTS, Course, canary_and_variant, outcome_of
from ..history import WITH_ITS_HOLDER
from .histogram import Histogram
from .success_rate import SuccessRate

OUTCOMES = ("granted", "timeout", "busy", "refused", "deadlock", "cancelled", "withdrawn")
"""How a request can end: `busy` did not want to wait, `withdrawn` lost its client."""
WAITED = ("granted", "timeout", "cancelled", "withdrawn")
"""The outcomes that some time of waiting can come before."""
ENDS = (
    "released",
    "disconnected",
    "died",
    "cut-off",
    "abandoned",
    "revoked",
    "max-hold",
    "stalled",
    "lease-lost",
    "other",
)
"""How a lock can end: by its holder, with its holder, or by being taken back."""
LOST = tuple(end for end in ENDS if end not in WITH_ITS_HOLDER)
"""The ends against the will of its holder."""
LEVELS = ("warning", "soft", "overdue")
"""What its age brings upon a lock: its holder is told, is asked to finish, and should have ended but may go on."""
RELOADS = ("ok", "failed")
TRIED = ("granted", "timeout", "refused")
"""What can become of a request of a canary's session."""
ENDED_CANARIES = tuple(course.value for course in Course if course is not Course.RUNNING)

SECONDS = (0.001, 0.005, 0.025, 0.1, 0.5, 1, 5, 15, 60, 300, 900, 1800, 3600, 7200, 14400, 86400)
"""Bounds for what tasks do: a grant at once takes well below a millisecond, a film hours."""
INSTANTS = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
"""Bounds for what the daemon itself does."""
OPERATIONS = ("claim", "renew", "release", "fleet")
"""What is asked of Redis."""

Data = Mapping[str, object]


class Tally:
    """Observes what is announced, and is told the latencies of what the daemon waits for."""

    def __init__(self) -> None:
        self.outcomes = dict.fromkeys(OUTCOMES, 0)
        self.waits = {outcome: Histogram(SECONDS) for outcome in WAITED}
        self.holds = Histogram(SECONDS)
        self.ends = dict.fromkeys(ENDS, 0)
        self.lost = dict.fromkeys(LOST, 0)
        self.levels = dict.fromkeys(LEVELS, 0)
        self.stalls = 0
        self.quarantines = 0
        self.strangers = 0
        self.polls = 0
        self.nvml_errors = 0
        self.reloads = dict.fromkeys(RELOADS, 0)
        self.reload_failed = False
        """Whether the last reload failed."""
        self.tried = {(variant, outcome): 0 for variant in VARIANTS for outcome in TRIED}
        """Requests while a canary runs, by variant and outcome."""
        self.canary_percent = 0.0
        self.canary_ends = dict.fromkeys(ENDED_CANARIES, 0)
        self.commits = Histogram(INSTANTS)
        self.redis = {operation: Histogram(INSTANTS) for operation in OPERATIONS}
        self.lag = Histogram(INSTANTS)
        self._success = SuccessRate()
        self._observe_wait = self.waits["granted"].observe
        self._observe_hold = self.holds.observe
        self._count: dict[str, Callable[[Data], None]] = {
            "lock.granted": self._granted,
            "lock.ended": self._ended,
            "lock.warned": self._reached("warning"),
            "lock.soft-timeout": self._reached("soft"),
            "lock.overdue": self._reached("overdue"),
            "lock.stalled": self._stalled,
            "request.timed-out": self._came_to("timeout"),
            "request.cancelled": self._came_to("cancelled"),
            "request.withdrawn": self._came_to("withdrawn"),
            "request.deadlocked": self._came_to("deadlock"),
            "request.refused": self._refused,
            "gpu.quarantined": self._quarantined,
            "gpu.foreign": self._foreign,
            "config.reloaded": self._reloaded,
            "config.reload-failed": self._reload_failed,
            "canary.running": self._canary_runs,
            **{f"canary.{course}": self._canary_ended for course in ENDED_CANARIES},
        }

    def observe(self, announce: Announce) -> None:
        """A `ports.Observer`."""
        count = self._count.get(announce.kind)
        if count is not None:
            count(announce.data)
        if variant := announce.data.get("variant"):
            self._tried(str(variant), announce)

    def waited_for_redis(self, operation: str, seconds: float) -> None:
        self.redis[operation].observe(seconds)

    def polled(self) -> None:
        """A lease was asked for in vain: another host has it."""
        self.polls += 1

    def nvml_failed(self, times: int) -> None:
        self.nvml_errors += times

    def beat(self, now: float, lag: float) -> None:
        """The engine got round to something `lag` seconds after it should have."""
        self.lag.observe(lag)
        self._success.note(now, self.outcomes["granted"], self.attempts)

    @property
    def attempts(self) -> int:
        """Requests that came to an end."""
        return sum(self.outcomes.values())

    @property
    def success_rate(self) -> float:
        """1 where nothing was attempted: nothing failed."""
        return self.outcomes["granted"] / self.attempts if self.attempts else 1.0

    @property
    def timeout_rate(self) -> float:
        return self.outcomes["timeout"] / self.attempts if self.attempts else 0.0

    @property
    def recent_success_rate(self) -> float:
        """Of the last hour."""
        return self._success.recent(self.outcomes["granted"], self.attempts)

    def _granted(self, data: Data) -> None:
        self.outcomes["granted"] += 1
        waited = data.get("waited")
        if type(waited) is float:
            self._observe_wait(waited)

    def _came_to(self, outcome: str) -> Callable[[Data], None]:
        histogram = self.waits.get(outcome)

        def count(data: Data) -> None:
            self.outcomes[outcome] += 1
            waited = data.get("waited")
            if histogram is not None and type(waited) is float:
                histogram.observe(waited)

        return count

    def _refused(self, data: Data) -> None:
        self.outcomes["busy" if data.get("code") == "busy" else "refused"] += 1

    def _ended(self, data: Data) -> None:
        how, held = data.get("how"), data.get("held")
        self.ends[how if type(how) is str and how in self.ends else "other"] += 1
        if how not in WITH_ITS_HOLDER:
            self.lost[how if type(how) is str and how in self.lost else "other"] += 1
        if type(held) is float:
            self._observe_hold(held)

    def _reached(self, level: str) -> Callable[[Data], None]:
        def count(_: Data) -> None:
            self.levels[level] += 1

        return count

    def _stalled(self, _: Data) -> None:
        self.stalls += 1

    def _quarantined(self, _: Data) -> None:
        self.quarantines += 1

    def _foreign(self, _: Data) -> None:
        self.strangers += 1

    def _reloaded(self, _: Data) -> None:
        self.reloads["ok"] += 1
        self.reload_failed = False

    def _tried(self, variant: str, announce: Announce) -> None:
        outcome = outcome_of(announce.kind, announce.data.get("code"))
        if outcome is not None:
            self.tried[canary_and_variant(variant)[1], outcome] += 1

    def _canary_runs(self, data: Data) -> None:
        percent = data.get("percent")
        self.canary_percent = percent if type(percent) is float else 0.0

    def _canary_ended(self, data: Data) -> None:
        self.canary_percent = 0.0
        self.canary_ends[str(data.get("course"))] += 1

    def _reload_failed(self, _: Data) -> None:
        self.reloads["failed"] += 1
        self.reload_failed = True
