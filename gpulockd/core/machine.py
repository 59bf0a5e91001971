"""Events in, actions out: the one place where who gets which GPU is decided.

    actions = machine.handle(event, now)

The laws, and where they are kept:

1. One exclusive holder: `placement.TRANSITIONS` has no way from held to held.
2. Recorded before told: actions name what to record; the engine commits before it tells.
3. Dead, then clear, then next: `lock.end` puts a GPU into quarantine unless its holder let go itself.
4. Waiting is free: a waiting request costs its place in `queue` and one deadline.
5. The kernel vouches for the owner: owners come with `SessionOpened`, deaths with `ProcessExited`.
6. Time is given: `now` is an argument, and everything due by then happens before the event does.
7. Never open by accident: `placement.gates` lists what forbids a grant; all of them must be absent.
8. First come, first served: `queue.rank`, `requests.settle`.
10. Who decides is one piece of code: this one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import admin, aging, events, gpus, lease, lock, outlook, places, quarantine, recall, requests, sessions, unmet
from .actions import Action, Severity
from .deadlines import Alarm
from .model import State
from .placement import regate_all
from .settings import Settings
from .turn import Turn

Reaction = Callable[[Turn, Any], None]


def _journal_failed(turn: Turn, event: events.JournalFailed) -> None:
    turn.state.journal_fault = event.why
    turn.announce("journal.failed", f"nothing is granted any more: {event.why}", Severity.ERROR)


def _journal_recovered(turn: Turn, _: events.JournalRecovered) -> None:
    turn.state.journal_fault = None
    turn.unsettled = True
    turn.announce("journal.recovered", "the journal can be written again")


def _restored(turn: Turn, event: events.Restored) -> None:
    sessions.restored(turn, event)
    lease.begin(turn)


def _settings_changed(turn: Turn, event: events.SettingsChanged) -> None:
    """What is under way keeps its deadlines; what may be granted is judged anew."""
    turn.state.settings = event.settings
    turn.unsettled = True
    regate_all(turn)


def _nothing(_: Turn, __: events.DeadlineReached) -> None:
    """What is due has happened already: it does before every event."""


REACTIONS: dict[type, Reaction] = {
    events.AcquireRequested: requests.acquire,
    events.ReleaseRequested: lock.released,
    events.CancelRequested: requests.cancel,
    events.ExtendRequested: lock.extended,
    events.BeatReported: aging.beaten,
    events.SessionOpened: sessions.opened,
    events.SessionAdopted: sessions.adopted,
    events.DoorOpened: sessions.door_opened,
    events.SessionIntroduced: sessions.introduced,
    events.SessionClosed: sessions.closed,
    events.ProcessExited: sessions.exited,
    events.Restored: _restored,
    events.RevokeRequested: admin.revoked,
    events.DrainRequested: admin.drained,
    events.UndrainRequested: admin.undrained,
    events.SignalRefused: recall.signal_refused,
    events.GpuInspected: quarantine.inspected,
    events.GpusDiscovered: gpus.discovered,
    events.GpusSampled: gpus.sampled,
    events.LeasesClaimed: lease.claimed,
    events.LeasesRenewed: lease.renewed,
    events.ClaimFailed: lease.claim_failed,
    events.RenewalFailed: lease.renewal_failed,
    events.LeaseFreed: lease.freed,
    events.SettingsChanged: _settings_changed,
    events.JournalFailed: _journal_failed,
    events.JournalRecovered: _journal_recovered,
    events.DeadlineReached: _nothing,
}

ALARMS: dict[Alarm, Callable[[Turn, str], None]] = {
    Alarm.LEASE_DEGRADED: lease.degraded,
    Alarm.LEASE_LATE: lease.late,
    Alarm.AGE: aging.aged,
    Alarm.SILENCE: aging.silent,
    Alarm.RECALL_STEP: recall.harder,
    Alarm.REATTACH_END: sessions.not_back,
    Alarm.WAIT_END: requests.timed_out,
    Alarm.PLACE_END: places.not_back,
    Alarm.KEPT_FREE_END: places.no_more_kept_free,
    Alarm.LEASE_RENEW: lease.renew,
    Alarm.LEASE_CLAIM: lease.claim,
    Alarm.QUARANTINE_RECHECK: quarantine.recheck,
    Alarm.POSITIONS: outlook.tell_positions,
    Alarm.TURNED_AWAY: unmet.record_turned_away,
}

OF_A_SESSION = (
    events.AcquireRequested,
    events.ReleaseRequested,
    events.CancelRequested,
    events.ExtendRequested,
    events.BeatReported,
    events.SessionIntroduced,
    events.RevokeRequested,
    events.DrainRequested,
    events.UndrainRequested,
)
"""Events that say nothing once their session has ended (its process died; the bytes were still on their way)."""


class Machine:
    """The core. Not thread-safe, and in no need of it: the engine is its only caller."""

    def __init__(self, settings: Settings) -> None:
        self.state = State(settings)
        self.turn = Turn(self.state)

    def handle(self, event: events.Event, now: float) -> list[Action]:
        """What to do about `event`, at `now` (seconds; never less than in the call before)."""
        turn = self.turn
        turn.now = max(now, turn.now)
        turn.actions = []
        if (at := turn.deadlines.next()) is not None and at <= turn.now:
            turn.late = turn.now - at
            for alarm, subject in turn.deadlines.due(turn.now):
                ALARMS[alarm](turn, subject)
        # Only now: one alarm may free what another one, due later but due all the same, forbids to grant.
        requests.settle(turn)
        if not isinstance(event, OF_A_SESSION) or event.session in self.state.sessions:
            REACTIONS[type(event)](turn, event)
            requests.settle(turn)
        return turn.actions

    @property
    def next_deadline(self) -> float | None:
        """When `DeadlineReached` is to be handed in, if nothing else happens before."""
        return self.turn.deadlines.next()
