"""Worlds in which locks last: every level is reached by tasks of every kind, and no law is broken on the way.

What is done at each level is in the table of `tests/core/test_levels.py`. Here the same happens among restarts, lost
connections, processes that freeze, and signals that may not be sent.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from itertools import product

from gpulockd.core.actions import Action, Announce
from gpulockd.core.events import Event
from gpulockd.core.model import Lock
from gpulockd.core.settings import Levels, Settings

from .referee import ObservedMachine
from .run import report
from .worker import USERS
from .world import Bugs, World

SEEDS = range(60)
TASKS = ("never beat", "beating", "silent")
Cell = tuple[str, ...]
seen: Counter[Cell] = Counter()
"""What was done about tasks of which kind, and whether overdue locks were to be taken back."""


class WatchedMachine(ObservedMachine):
    def react(self, event: Event, now: float) -> list[Action]:
        before = dict(self.state.locks)
        actions = super().react(event, now)
        for action in actions:
            if isinstance(action, Announce) and (lock := before.get(str(action.data.get("lock")))) is not None:
                reason = str(action.data.get("reason", ""))
                seen[kind_of(lock), action.kind, reason, str(self.state.settings.take_back)] += 1
        return actions


def kind_of(lock: Lock) -> str:
    if lock.beat_at is None:
        return "never beat"
    return "silent" if lock.stalled else "beating"


class LastingWorld(World):
    """Levels of seconds, where a hold of these workers takes seconds."""

    tasks_beat = True

    def _settings(self, name: str) -> Settings:
        settings = super()._settings(name)
        levels = Levels(2.0, 4.0, 8.0)
        return replace(
            settings, lock_timeout=math.inf, levels=levels, beat_timeout=1.0, take_back=self.chance.random() < 0.5
        )


class ForbiddenWorld(LastingWorld):
    """One in which the daemons may signal nobody while things go wrong, so that others have to end those who do not
    listen; and many are to be ended that beat."""

    def __init__(self, seed: int, bugs: Bugs | None = None) -> None:
        super().__init__(seed, bugs)
        for host in self.hosts:
            host.no_right_to.update(USERS)

    def _brew(self) -> None:
        others = {*self.weather.spells} - {"no right to signal"}
        self.weather = replace(self.weather, spells=tuple(sorted(others | {"worker killed"})))
        super()._brew()

    def _settings(self, name: str) -> Settings:
        settings = super()._settings(name)
        return replace(settings, levels=Levels(1.0, 2.0, 5.0), take_back=True, beat_timeout=3.0)


def run_all(world: type[LastingWorld]) -> None:
    seen.clear()
    for seed in SEEDS:
        outcome = world(seed, Bugs(machine=WatchedMachine)).run()
        assert outcome.findings == (), report(outcome)


def test_every_level_is_reached_by_every_kind_of_task_and_no_law_is_broken() -> None:
    run_all(LastingWorld)
    expected = {
        (task, what, "", take_back)
        for task, what, take_back in product(TASKS, ("lock.warned", "lock.soft-timeout"), ("True", "False"))
    }
    expected |= {(task, "lock.recalled", "max-hold", "True") for task in ("never beat", "beating")}
    expected |= {(task, "lock.overdue", "max-hold", "False") for task in ("never beat", "beating")}
    expected |= {("silent", "lock.recalled", "stalled", "True"), ("silent", "lock.overdue", "stalled", "False")}
    assert expected <= seen.keys(), f"never seen: {sorted(expected - seen.keys())}"
    assert not [cell for cell in seen if cell[1:3] == ("lock.recalled", "stalled") and cell[0] != "silent"]


def test_holders_of_every_kind_of_task_are_reported_whom_the_daemon_has_no_right_to_end() -> None:
    run_all(ForbiddenWorld)
    expected = {(task, "lock.obstructed", "", "True") for task in TASKS}
    assert expected <= seen.keys(), f"never seen: {sorted(expected - seen.keys())}"
