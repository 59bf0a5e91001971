"""Who keeps connections is told before anybody is answered, and told that it is over only when the journal has it."""

from __future__ import annotations

import pytest

from gpulockd import engine
from gpulockd.core.events import CancelRequested, ReleaseRequested
from tests.support.waiting import eventually

from .world import World

ANNA, BEN = 1, 2


def told(world: World) -> list[str]:
    """The log without the turns in which nothing happened."""
    log = world.log
    return [line for at, line in enumerate(log) if line != "settled" or (at and log[at - 1] != "settled")]


async def test_a_mark_is_set_before_the_commit_and_taken_away_after_the_answer() -> None:
    async with World(notes_marks=True).running() as world:
        world.connect(ANNA)
        world.acquire(ANNA)
        await world.settled()
        assert told(world) == ["brace 1", "commit granted:L1-1", "answer 1/1 L1-1", "settled"]


async def test_whoever_is_answered_by_anothers_release_is_marked_too() -> None:
    async with World(notes_marks=True).running() as world:
        for session in (ANNA, BEN):
            world.connect(session)
            world.acquire(session, count=2)
        await world.settled()
        world.log.clear()
        world.engine.post(ReleaseRequested(ANNA, 2, None))
        await world.settled()
        assert told(world)[:3] == ["brace 1", "brace 2", "commit ended:L1-1 RequestLeft granted:L1-2"]


async def test_a_request_that_waits_is_settled_once_it_is_written_down() -> None:
    async with World(notes_marks=True).running() as world:
        for session in (ANNA, BEN):
            world.connect(session)
            world.acquire(session, count=2)
        await world.settled()
        assert told(world)[-2:] == ["answer 1/1 L1-1", "settled"]
        assert "commit granted:L1-1 RequestWaits" in world.log
        assert "brace 2" not in world.log


async def test_nothing_is_settled_while_the_journal_lacks_what_was_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of a wait is told all the same: a daemon that is killed now leaves a mark behind it."""
    monkeypatch.setattr(engine, "JOURNAL_RETRY", 0.01)
    async with World(notes_marks=True).running() as world:
        for session in (ANNA, BEN):
            world.connect(session)
            world.acquire(session, count=2)
        await world.settled()
        world.log.clear()
        world.journal_broken = True
        world.engine.post(CancelRequested(BEN, 7, 1))
        await world.settled()
        assert "refuse 2/1 cancelled" in world.log
        assert "settled" not in world.log
        world.journal_broken = False
        await eventually(lambda: "settled" in world.log)
        written = next(index for index, line in enumerate(world.log) if line.startswith("commit RequestLeft"))
        assert written < world.log.index("settled")
