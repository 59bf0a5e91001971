"""Boards as they are handed out: one for all, when something happened, to whoever keeps up."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest

from gpulock.documents import StatusDocument
from gpulockd.core.actions import Announce
from gpulockd.history import Ended
from gpulockd.http.feed import MAX_STREAMS, RETRY, UNREAD, Crowded, Feed, Stream
from gpulockd.ports import Unavailable
from tests.support.waiting import PATIENCE

from .documents import gpu, status

QUIET = 3600.0
"""A pulse that no test waits for."""


class Host:
    """What a feed is made of; tests change it."""

    def __init__(self) -> None:
        self.asked = 0
        self.past: list[Ended] = []
        self.now = 1000.0

    def status(self) -> StatusDocument:
        self.asked += 1
        return status(gpu(0))

    def history(self, most: int) -> Sequence[Ended]:
        return self.past[:most]

    def feed(self, *, step: float = 0.0, pulse: float = QUIET) -> Feed:
        return Feed(self.status, self.history, wall=lambda: self.now, step=step, pulse=pulse)


@pytest.fixture
def host() -> Host:
    return Host()


def never() -> None:
    raise AssertionError("nobody falls behind here")


def ended(lock: str, until: float) -> Ended:
    return Ended(lock, 1, ("GPU-0",), "alice", 1000, 7, "python", "ocr", 0.0, 60.0, until - 60, until, "released", "")


def end_of(lock: str) -> Announce:
    data: dict[str, object] = {"lock": lock, "gpus": ["GPU-0"], "user": "alice", "task": "ocr", "how": "released"}
    return Announce("lock.ended", "", data={**data, "by": "", "waited": 0.0, "held": 60.0})


async def next_of(stream: Stream) -> dict[str, Any]:
    """The next board."""
    async with asyncio.timeout(PATIENCE):
        async for frame in stream:
            data = frame.removeprefix(RETRY)
            assert data.startswith(b"data: ")
            assert data.endswith(b"\n\n")
            assert data.count(b"\n") == 2, "a line break would end the data"
            board: dict[str, Any] = json.loads(data.removeprefix(b"data: "))
            return board
    raise AssertionError("the stream has ended")


async def test_the_first_board_is_whole_and_others_bring_what_is_new(host: Host) -> None:
    host.past = [ended("L1-2", 990.0), ended("L1-1", 900.0)]
    feed = host.feed()
    async with feed.joined(never) as stream:
        first = await next_of(stream)
        assert first["whole"]
        assert [bar["lock"] for bar in first["ended"]] == ["L1-1", "L1-2"]
        host.now = 1100.0
        feed.observe(end_of("L1-3"))
        second = await next_of(stream)
        assert not second["whole"]
        assert [(bar["lock"], bar["since"], bar["until"]) for bar in second["ended"]] == [("L1-3", 1040.0, 1100.0)]


async def test_nothing_is_made_while_nobody_looks_on(host: Host) -> None:
    feed = host.feed(pulse=0.001)
    for _ in range(100):
        feed.observe(end_of("L1-1"))
    await asyncio.sleep(0.02)
    assert host.asked == 0
    async with feed.joined(never) as stream:
        assert (await next_of(stream))["ended"] == [], "history is what tells of the past"
    made = host.asked
    for _ in range(100):
        feed.observe(end_of("L1-1"))
    await asyncio.sleep(0.02)
    assert host.asked == made


async def test_a_board_is_made_once_for_all(host: Host) -> None:
    feed = host.feed(step=QUIET)
    async with feed.joined(never) as one, feed.joined(never) as two:
        assert await next_of(one) == await next_of(two)
        assert host.asked == 1
        feed.observe(Announce("request.queued", ""))
        assert await next_of(one) == await next_of(two)
        assert host.asked == 2
        async with feed.joined(never) as late:
            assert (await next_of(late))["whole"], "and what joined later is not behind"
            assert host.asked == 3


async def test_much_that_happens_is_one_board(host: Host) -> None:
    feed = host.feed(step=QUIET)
    async with feed.joined(never) as stream:
        await next_of(stream)
        for number in range(1000):
            feed.observe(end_of(f"L1-{number}"))
        board = await next_of(stream)
        assert [bar["locks"] for bar in board["ended"]] == [1] * 1000, "each of a minute"
        for _ in range(1000):
            feed.observe(Announce("request.queued", ""))
        await asyncio.sleep(0.02)
        assert host.asked == 2, "the next one waits for its time"


async def test_while_nothing_happens_there_is_a_pulse(host: Host) -> None:
    feed = host.feed(pulse=0.001)
    async with feed.joined(never) as stream:
        for whole in (True, False, False):
            assert (await next_of(stream))["whole"] is whole


async def test_a_lock_that_ends_while_history_is_read_is_shown_once(host: Host) -> None:
    feed = host.feed()
    host.past = [ended("L1-1", 990.0)]
    joining = asyncio.create_task(_whole_past(feed))
    await asyncio.sleep(0)
    feed.observe(end_of("L1-1"))  # history has it
    feed.observe(end_of("L1-2"))  # and has it not
    assert sorted(await joining) == ["L1-1", "L1-2"]


async def _whole_past(feed: Feed) -> list[str]:
    async with feed.joined(never) as stream:
        locks = [bar["lock"] for bar in (await next_of(stream))["ended"]]
        return locks + [bar["lock"] for bar in (await next_of(stream))["ended"]]


async def test_without_a_readable_history_there_is_the_present(host: Host) -> None:
    def unreadable(_: int) -> Sequence[Ended]:
        raise Unavailable("disk I/O error")

    feed = Feed(host.status, unreadable, step=0.0, pulse=QUIET)
    async with feed.joined(never) as stream:
        assert (await next_of(stream))["ended"] == []


async def test_who_does_not_keep_up_is_cut_off_and_nobody_else(host: Host) -> None:
    feed = host.feed(pulse=0.001)
    cut: list[str] = []
    async with feed.joined(lambda: cut.append("idle")) as idle, feed.joined(lambda: cut.append("eager")) as eager:
        for _ in range(2 * UNREAD + 2):
            await next_of(eager)
        assert cut
        assert set(cut) == {"idle"}
        assert idle is not eager


async def test_so_many_may_look_on(host: Host) -> None:
    feed = host.feed()
    leave = asyncio.Event()

    async def look() -> None:
        async with feed.joined(never) as stream:
            await next_of(stream)
            await leave.wait()

    async with asyncio.timeout(30), asyncio.TaskGroup() as lookers:
        for _ in range(MAX_STREAMS):
            lookers.create_task(look())
        await asyncio.sleep(0)
        with pytest.raises(Crowded):
            await look()
        leave.set()
    async with feed.joined(never) as stream:
        assert (await next_of(stream))["whole"]


async def test_close_ends_every_stream(host: Host) -> None:
    feed = host.feed()
    async with feed.joined(never) as stream:
        feed.close()
        assert len([frame async for frame in stream]) == 1


async def test_a_board_that_cannot_be_made_ends_the_streams_and_nothing_else(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    feed = host.feed()
    async with feed.joined(never) as stream:
        await next_of(stream)
        feed.observe(Announce("lock.ended", "", data={"lock": "of an unknown form"}))
        async with asyncio.timeout(PATIENCE):
            assert [frame async for frame in stream] == []
    assert "no board can be made" in caplog.text
