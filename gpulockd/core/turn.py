"""What the parts of the core share while they handle one event."""

from __future__ import annotations

from .actions import Action, Announce, Answer, Refusal, Refuse, Severity
from .deadlines import Alarm, Deadlines
from .model import COUNTER_BITS, Process, Request, State
from .queue import Queue

SLEPT = 1.0
"""Seconds by which no alarm is late while the daemon runs."""
AT_THE_DOOR = 2.0
"""Seconds that a daemon needs, and more, to let in whoever has come while it did not run."""


class Turn:
    """The state with its indexes, the time, and the actions decided so far.

    `idle` is the set of GPUs that could be granted this moment; the parts keep it true through `placement`.
    """

    __slots__ = (
        "actions",
        "deadlines",
        "epoch",
        "idle",
        "inspecting",
        "late",
        "now",
        "queue",
        "requests_made",
        "sessions_of",
        "state",
        "turned_away",
        "unsettled",
    )

    def __init__(self, state: State) -> None:
        self.state = state
        self.queue = Queue(state.requests)
        self.deadlines = Deadlines()
        self.idle: set[str] = set()
        self.inspecting: set[str] = set()
        """GPUs in quarantine that the driver is being asked about."""
        self.sessions_of: dict[Process, set[int]] = {}
        self.requests_made = 0
        self.turned_away: dict[tuple[object, ...], tuple[Request, str, float, int]] = {}
        """Requests that were refused without a wait and are not recorded yet, by what they have in common; see
        `unmet`."""
        self.epoch = 0
        """The highest epoch of the leases that this daemon has had; 0 before the first claim."""
        self.unsettled = False
        """Whether a request came or a GPU became free, so that somebody may be granted."""
        self.now = 0.0
        self.late = 0.0
        """Seconds by which the first of the alarms that ring now is late."""
        self.actions: list[Action] = []

    def do(self, action: Action) -> None:
        self.actions.append(action)

    def answer(self, session: int, msgid: int, /, **result: object) -> None:
        self.actions.append(Answer(session, msgid, result))

    def refuse(
        self, session: int, msgid: int | None, code: str, message: str, hint: str | None = None, /, **data: object
    ) -> None:
        self.actions.append(Refuse(session, msgid, Refusal(code, message, hint, data)))

    def announce(self, kind: str, message: str, severity: Severity = Severity.INFO, /, **data: object) -> None:
        self.actions.append(Announce(kind, message, severity, data))

    def slept_through(self, alarm: Alarm, subject: str) -> bool:
        """Whether the daemon did not run (stopped, or stalled) when an alarm was due that ends what is kept for
        somebody. Then it rings again in a moment: who has come in time is still at the door, and is let in first."""
        if self.late <= SLEPT:
            return False
        self.deadlines.set(alarm, subject, self.now + AT_THE_DOOR)
        return True

    def next_token(self) -> int:
        """A token larger than every earlier one, of this epoch or of any before it."""
        self.state.last_token = max(self.state.last_token, self.epoch << COUNTER_BITS) + 1
        return self.state.last_token
