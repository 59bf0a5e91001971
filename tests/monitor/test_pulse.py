"""The pulse of an engine: late by as much as its loop was busy with something else."""

from __future__ import annotations

import asyncio
import time

import pytest

from gpulockd.monitor import feel_pulse, pulse


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "INTERVAL", 0.01)


async def felt(turned: asyncio.Event, times: int) -> list[float]:
    """So many beats."""
    beats: list[float] = []
    enough = asyncio.Event()

    def beat(lag: float) -> None:
        beats.append(lag)
        if len(beats) == times:
            enough.set()

    async def turn() -> None:
        await turned.wait()

    task = asyncio.create_task(feel_pulse(turn, beat))
    await asyncio.wait_for(enough.wait(), 10)
    task.cancel()
    return beats


async def test_it_beats_for_as_long_as_the_engine_turns() -> None:
    turned = asyncio.Event()
    turned.set()
    beats = await felt(turned, 3)
    assert len(beats) == 3
    assert min(beats) >= 0


async def test_a_loop_that_is_busy_makes_it_late() -> None:
    turned = asyncio.Event()
    turned.set()
    asyncio.get_running_loop().call_later(0.005, lambda: time.sleep(0.2))
    assert (await felt(turned, 1))[0] >= 0.15


async def test_an_engine_that_is_stuck_makes_it_late() -> None:
    turned = asyncio.Event()
    asyncio.get_running_loop().call_later(0.2, turned.set)
    assert (await felt(turned, 1))[0] >= 0.15
