"""What happens when to a lock that lasts: the table of docs/operations.md, lived through in simulated time."""

from __future__ import annotations

import math
import signal
from collections.abc import Iterator

import pytest

from gpulockd.config import Config, core_settings
from gpulockd.core import events
from gpulockd.core.actions import Action, Announce, Notify, Signal
from gpulockd.core.model import LockState
from gpulockd.core.settings import Levels
from tests.docs.markdown import ROOT, names, table

from .script import Host, acquire, granted, play

WARNING, SOFT, HARD = LEVELS = (100.0, 200.0, 400.0)
SILENCE = 30.0
BEAT_EVERY = 20.0
FIRST_BEAT = 10.0
DOCUMENT = ROOT / "docs" / "operations.md"
RIGHTS = ("what happens", "with `auto_recovery: false`", "without the right to end it")
TASKS = ("never beat", "beating", "silent")
AGES = {"`warning`": WARNING, "`soft_timeout`": SOFT, "end": HARD}


class Life:
    """Anna holds a GPU for longer than she may, deaf to what she is told; what is done about it, by her lock's age."""

    def __init__(self, task: str, rights: str) -> None:
        self.may_end = rights != "without the right to end it"
        self.host = Host(
            gpus=1, levels=Levels(*LEVELS), beat_timeout=SILENCE, take_back=rights != "with `auto_recovery: false`"
        )
        play(self.host, acquire("anna", hold=math.inf, notify=frozenset({"warning", "lost"})), granted("anna", 0))
        self.anna = self.host.session("anna")
        self.process = self.host.process("anna")
        self.done: list[tuple[float, str]] = []
        self._live(task)

    def _live(self, task: str) -> None:
        for age in range(1, int(HARD) + 60):
            beats = {"never beat": False, "silent": age == FIRST_BEAT, "beating": age % BEAT_EVERY == 0}[task]
            if beats and self.anna in self.host.state.sessions:
                self._handle(events.BeatReported(self.anna, 9, None, None, ""), age)
            self._handle(events.DeadlineReached(), age)

    def _handle(self, event: events.Event, age: float) -> None:
        self.host.now = 1000.0 + age
        for action in self.host.machine.handle(event, self.host.now):
            self._note(action, age)

    def _note(self, action: Action, age: float) -> None:
        match action:
            case Notify(_, method, params):
                self.done.append((age, f"{method} {params.get('level', params.get('reason'))}"))
            case Announce(kind) if kind.startswith("lock."):
                self.done.append((age, kind))
            case Signal(lock, process, number):
                self.done.append((age, signal.Signals(number).name))
                if not self.may_end:
                    self._handle(events.SignalRefused(lock, "no right to signal it"), age)
                elif number == signal.SIGKILL:
                    self._handle(events.ProcessExited(process), age)
            case _:
                pass

    def at(self, age: float) -> set[str]:
        """What was done from that age on, before the next one of the table."""
        following = min((other for other in AGES.values() if other > age), default=math.inf)
        return {what for when, what in self.done if age <= when < following}


def words(life: Life, age: float) -> Iterator[str]:
    """What was done at an age, as the table has it. Whatever it has no word for is a word of its own."""
    done = life.at(age)
    for word, signs in (
        ("told", {"lock.warned", "warning warning"}),
        ("asked to finish", {"lock.soft-timeout", "warning soft"}),
        ("reported", {"lock.overdue"}),
    ):
        if signs <= done:
            yield word
            done -= signs
    if "lock.recalled" in done:
        ending = {"lock.recalled", "lock.signalled", "SIGTERM"}
        lost = {what for what in done if what.startswith("lost ")}
        assert len(lost) == 1, lost
        if "lock.obstructed" in done:
            yield "told, and waited for"
            ending |= {"lock.obstructed"}
        else:
            yield "taken back"
            ending |= {"SIGKILL", "lock.ended"}
        assert ending <= done
        done -= ending | lost | {"SIGKILL"}
    yield from done - {"lock.stalled"}


@pytest.mark.parametrize("rights", RIGHTS)
@pytest.mark.parametrize("task", TASKS)
def test_the_table(task: str, rights: str) -> None:
    document = table(DOCUMENT, "task")
    place = document.header.index(rights)
    listed = {row[1]: row[place] for row in document.rows if row[0] == task}
    life = Life(task, rights)
    found = {name: ", ".join(words(life, age)) or "nothing more" for name, age in AGES.items()}
    assert found == listed


def test_the_table_has_every_cell() -> None:
    rows = [tuple(row[:2]) for row in table(DOCUMENT, "task").rows]
    assert rows == [(task, age) for task in TASKS for age in AGES]
    assert names("`warning`") == ["warning"]


@pytest.mark.parametrize("task", TASKS)
def test_the_moments(task: str) -> None:
    """At the very second, and no earlier."""
    done = Life(task, RIGHTS[0]).done
    at = {what: when for when, what in reversed(done)}
    end = SOFT if task == "silent" else HARD
    assert (at["lock.warned"], at["lock.soft-timeout"], at["lock.recalled"]) == (WARNING, SOFT, end)
    assert (at["SIGTERM"], at["SIGKILL"], at["lock.ended"]) == (end + 10, end + 15, end + 15)
    assert ("lost stalled" in at, "lost max-hold" in at) == (task == "silent", task != "silent")
    assert at.get("lock.stalled") == (FIRST_BEAT + SILENCE if task == "silent" else None)


@pytest.mark.parametrize("task", TASKS)
def test_who_cannot_be_ended_keeps_the_gpu(task: str) -> None:
    host = Life(task, "without the right to end it").host
    lock = host.lock("anna")
    assert lock.state is not LockState.HELD
    assert lock.recall is not None
    assert "no right" in lock.recall.obstacle
    assert [gpu.lock for gpu in host.state.gpus.values()] == [lock.id]


def test_as_installed_nobody_is_asked_to_finish_who_names_no_end() -> None:
    """The numbers are the configuration's; that they fall together is said in docs/operations.md."""
    settings = core_settings(Config())
    levels = settings.levels
    assert settings.lock_timeout == levels.soft == 3600
    host = Host(gpus=2, levels=levels, revoke_grace=settings.revoke_grace)
    notify = frozenset({"warning", "lost"})
    play(host, acquire("anna", hold=settings.lock_timeout, notify=notify), granted("anna", 0))
    play(host, acquire("ben", hold=7200.0, notify=notify), granted("ben", 1))
    told: list[tuple[float, str, str]] = []
    for age in (1799, 1800, 3599, 3600, 7199, 7200):
        host.now = 1000.0 + age
        told += [(age, each.whom, each.detail) for each in host.handle(events.DeadlineReached()) if each.detail]
    by = {name: [(age, what) for age, whom, what in told if whom == name] for name in ("anna", "ben")}
    assert by["anna"][:2] == [(1800, "warning"), (3600, "max-hold")]
    assert by["ben"] == [(1800, "warning"), (3600, "soft"), (7200, "max-hold")]
    text = DOCUMENT.read_text()
    for seconds in (levels.warning, levels.soft, levels.hard):
        assert f"{seconds:.0f} s" in text
    assert f"with {settings.revoke_grace:.0f} s (`daemon.revoke_grace`)" in text
