"""Whoever cancels an operation, or the listening, is heeded whatever redis-py makes of it."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from gpulockd.core.events import Event
from gpulockd.leases.cancellation import heeding_cancellation
from tests.support.waiting import PATIENCE

from .conftest import NewDaemon

pytestmark = pytest.mark.redis


async def test_a_cancellation_that_was_swallowed_is_raised_at_the_end() -> None:
    waiting = asyncio.Event()
    went_on = False

    async def deaf() -> None:
        nonlocal went_on
        with heeding_cancellation():
            waiting.set()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.get_running_loop().create_future()
            went_on = True

    task = asyncio.create_task(deaf())
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert went_on


async def test_what_a_cancelled_task_does_to_clean_up_is_not_cancelled_again(new_daemon: NewDaemon) -> None:
    """As a daemon that is told to end releases its leases."""
    daemon, other = new_daemon("host-a"), new_daemon("host-b")
    epochs = (await daemon.claim(1, ["GPU-0"], floor=0)).epochs
    waiting = asyncio.Event()

    async def run() -> None:
        try:
            waiting.set()
            await asyncio.get_running_loop().create_future()
        finally:
            await daemon.release(epochs)

    task = asyncio.create_task(run())
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await other.claim(1, ["GPU-0"], floor=0)).epochs == {"GPU-0": 2}


@pytest.mark.parametrize("family", ["valkey"], indirect=True)
async def test_a_task_that_is_cancelled_at_any_moment_ends(new_daemon: NewDaemon) -> None:
    def hear(event: Event) -> None:
        pytest.fail(f"heard {event}")

    for turns in range(80):
        daemon = new_daemon()
        listening = asyncio.create_task(daemon.listen(hear))
        asking = asyncio.create_task(daemon.fleet())
        for _ in range(turns):
            await asyncio.sleep(0)
        over = asking.done()
        listening.cancel()
        asking.cancel()
        await asyncio.wait({listening, asking}, timeout=PATIENCE)
        assert listening.cancelled(), f"after {turns} turns of the loop"
        assert over or asking.cancelled(), f"after {turns} turns of the loop"
        await daemon.close()
