"""Planted bugs, one for each law that a simulated world watches: only who finds these can be believed to find others.

Each stands between the real core and its world, as a core with that mistake in it would.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gpulockd.core.actions import Action, LockEnded, LockGranted
from gpulockd.core.events import (
    AcquireRequested,
    Event,
    GpuInspected,
    LeasesClaimed,
    LeasesRenewed,
    ProcessExited,
)
from gpulockd.ports import Saved

from .referee import ObservedMachine
from .store import Store
from .world import Bugs


class GrantsBeforeTheJournal(ObservedMachine):
    """Asks for the record of a grant only with what comes next."""

    _late: list[Action] = []  # noqa: RUF012  # replaced, never changed

    def react(self, event: Event, now: float) -> list[Action]:
        actions = self._late + super().react(event, now)
        self._late = [action for action in actions if isinstance(action, LockGranted) and action not in self._late]
        return [action for action in actions if action not in self._late]


class EndsBeforeTheJournal(ObservedMachine):
    """Lets the next one in before the end of the last one is recorded."""

    _late: list[Action] = []  # noqa: RUF012  # replaced, never changed

    def react(self, event: Event, now: float) -> list[Action]:
        actions = self._late + super().react(event, now)
        self._late = [action for action in actions if isinstance(action, LockEnded) and action not in self._late]
        return [action for action in actions if action not in self._late]


def no_token_is_kept(saved: Saved) -> Saved:
    """The next daemon knows of no token but those of locks that are held."""
    return replace(saved, highest_token=max((lock.token for lock in saved.locks), default=0))


class IgnoresOrphans(ObservedMachine):
    """Takes a GPU for clear, whoever is on it."""

    def react(self, event: Event, now: float) -> list[Action]:
        if isinstance(event, GpuInspected) and event.culprits:
            event = replace(event, culprits=())
        return super().react(event, now)


class CountsAgeFromReceipt(ObservedMachine):
    """A lease is as young as the answer, not as the question."""

    def react(self, event: Event, now: float) -> list[Action]:
        if isinstance(event, (LeasesClaimed, LeasesRenewed)):
            event = replace(event, sent_at=now)
        return super().react(event, now)


class LastComeFirstServed(ObservedMachine):
    """Handles a request only when the next one has come, and that one first."""

    _kept: AcquireRequested | None = None

    def react(self, event: Event, now: float) -> list[Action]:
        kept = self._kept
        if isinstance(event, AcquireRequested) and kept is None and self.state.requests:
            self._kept = event
            return []
        self._kept = None
        actions = super().react(event, now)
        return actions if kept is None else [*actions, *super().react(kept, now)]


class CountersOfOneClaim(Store):
    """A claim raises the epochs of what it grants, and not of what the daemon has, whose tokens it raises too."""

    def raise_counters(self, held: Sequence[str], epoch: int) -> None:
        pass


class TrustsTheSocket(ObservedMachine):
    """Waits for the connection to end, though the kernel says that the process is dead."""

    def react(self, event: Event, now: float) -> list[Action]:
        return [] if isinstance(event, ProcessExited) else super().react(event, now)


class CountsAbandonedAsGone(ObservedMachine):
    """Takes it for a word of the holder's that it did not come back in time."""

    def react(self, event: Event, now: float) -> list[Action]:
        actions = super().react(event, now)
        for gpu in self.state.gpus.values():
            if gpu.quarantine is not None and gpu.quarantine.awaited:
                gpu.quarantine = replace(gpu.quarantine, awaited=False)
        return actions


def no_lock_is_kept(saved: Saved) -> Saved:
    """The next daemon does not look for those who may come back."""
    return replace(saved, locks=())


@dataclass(frozen=True, slots=True)
class Planted:
    bugs: Bugs
    found_by: frozenset[str]
    """The checks that may find it."""


PLANTED = {
    "grant before journal": Planted(Bugs(GrantsBeforeTheJournal), frozenset({"recorded before told"})),
    "end before journal": Planted(Bugs(EndsBeforeTheJournal), frozenset({"recorded before told", "daemon"})),
    "token reset": Planted(Bugs(saved=no_token_is_kept), frozenset({"token"})),
    "locks forgotten at a restart": Planted(Bugs(saved=no_lock_is_kept), frozenset({"lost", "daemon"})),
    "grant with an orphan on the GPU": Planted(Bugs(IgnoresOrphans), frozenset({"orphan"})),
    "an abandoned lock cleared by time": Planted(Bugs(CountsAbandonedAsGone), frozenset({"abandoned"})),
    "lease age from receipt": Planted(Bugs(CountsAgeFromReceipt), frozenset({"lease age", "lease"})),
    "fifo broken": Planted(Bugs(LastComeFirstServed), frozenset({"order"})),
    "claims raise no other counter": Planted(Bugs(store=CountersOfOneClaim), frozenset({"token"})),
    "a dead process's socket is trusted": Planted(Bugs(TrustsTheSocket), frozenset({"starved", "leaked"})),
}
