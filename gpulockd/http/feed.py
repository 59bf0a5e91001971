"""The board as a stream of server-sent events: one frame for all who look on, and none while nobody does.

What happens marks the board as stale, which costs next to nothing; it is made anew at most once every `STEP`, and
handed out to a few streams in each turn of the loop, so that whoever asks for a lock meanwhile waits for a few writes
at most. A stream whose reader does not keep up is ended: its browser comes back by itself, and begins with the whole.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

from gpulock.documents import StatusDocument

from ..core.actions import Announce
from ..history import Ended
from ..ports import Unavailable
from .board import bar_of, bar_of_announced, board
from .timeline import MOST, Bar, Timeline

log = logging.getLogger(__name__)

STEP = 1.0
"""Seconds between two boards at least."""
PULSE = 5.0
"""Seconds between two boards at most: load, memory and progress change without anything having happened, and a page
that hears nothing for longer knows that it is cut off."""
MAX_STREAMS = 128
UNREAD = 4
"""Boards that a reader may be behind."""
AT_ONCE = 4
"""Streams that are written to in one turn of the loop."""
NEWS_AT_ONCE = 100
"""Locks that have ended which are taken in in one turn of the loop."""
RETRY = b"retry: 2000\n"
"""Milliseconds after which a browser connects again."""


class Crowded(Exception):
    """As many look on already as are allowed to."""


class Stream:
    """What one reader has still to be sent."""

    def __init__(self, first: bytes, abort: Callable[[], None]) -> None:
        self._frames: asyncio.Queue[bytes | None] = asyncio.Queue(UNREAD)
        self._frames.put_nowait(first)
        self._abort = abort

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (frame := await self._frames.get()) is not None:
            yield frame

    def put(self, frame: bytes | None) -> None:
        """None ends it."""
        try:
            self._frames.put_nowait(frame)
        except asyncio.QueueFull:
            self._abort()


class Feed:
    """Gives boards to whoever joins. All methods belong to the event loop's thread."""

    def __init__(
        self,
        status: Callable[[], StatusDocument],
        history: Callable[[int], Sequence[Ended]],
        *,
        wall: Callable[[], float] = time.time,
        step: float = STEP,
        pulse: float = PULSE,
    ) -> None:
        """`history` gives the latest locks that ended, at most so many. It is called in another thread, and may raise
        `Unavailable`."""
        self._status = status
        self._history = history
        self._wall = wall
        self._step = step
        self._pulse = pulse
        self._joined = 0
        self._streams: set[Stream] = set()
        self._stale = asyncio.Event()
        self._news: list[tuple[Mapping[str, object], float]] = []
        """Locks that have ended since the last board, as they were announced, and when."""
        self._timeline = Timeline()
        self._remembering: asyncio.Task[frozenset[str]] | None = None
        """Reads history, and returns the locks that it knew."""
        self._pacing: asyncio.Task[None] | None = None
        self._first: tuple[float, bytes] | None = None
        """When a whole board was made, and its frame; None: there is a later board than that."""

    def observe(self, announce: Announce) -> None:
        """A `ports.Observer`."""
        if not self._joined:
            return
        self._stale.set()
        if announce.kind == "lock.ended":
            self._news.append((announce.data, self._wall()))

    @contextlib.asynccontextmanager
    async def joined(self, abort: Callable[[], None]) -> AsyncIterator[Stream]:
        """A stream for as long as somebody reads it; `abort` cuts off a reader that does not keep up.

        Raises `Crowded`.
        """
        if self._joined >= MAX_STREAMS:
            raise Crowded(f"{MAX_STREAMS} look on already")
        self._joined += 1
        try:
            if self._remembering is None:
                self._remembering = asyncio.create_task(self._remember())
                self._pacing = asyncio.create_task(self._pace(self._remembering))
            await asyncio.shield(self._remembering)
            stream = Stream(RETRY + self._whole(), abort)
            self._streams.add(stream)
            try:
                yield stream
            finally:
                self._streams.discard(stream)
        finally:
            self._joined -= 1
            if not self._joined:
                self._rest()

    def close(self) -> None:
        """Ends all streams."""
        for stream in self._streams:
            stream.put(None)

    def _rest(self) -> None:
        """Forgets what nobody looks at any more."""
        for task in (self._remembering, self._pacing):
            if task is not None:
                task.cancel()
        self._remembering = self._pacing = self._first = None
        self._timeline, self._news = Timeline(), []

    async def _remember(self) -> frozenset[str]:
        try:
            bars = await asyncio.to_thread(lambda: [bar_of(each) for each in reversed(self._history(MOST))])
        except Unavailable as error:
            log.warning("the status page begins without a past: %s", error)
            return frozenset()
        known = frozenset(bar["lock"] for bar in bars)
        for bar in bars:
            self._timeline.add(bar)
        self._timeline.changes()  # nobody has been sent anything yet
        return known

    async def _pace(self, remembering: asyncio.Task[frozenset[str]]) -> None:
        try:
            known = await asyncio.shield(remembering)
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._pulse):
                        await self._stale.wait()
                self._stale.clear()
                await self._take_in(known)
                self._first = None
                await self._hand_out(self._frame(self._timeline.changes(), whole=False))
                await asyncio.sleep(self._step)
        except Exception:  # whatever it is: those who look on come again, and nothing else of the daemon ends with it
            log.exception("no board can be made")
            self.close()

    async def _take_in(self, known: frozenset[str]) -> None:
        news, self._news = self._news, []
        for count, (data, at) in enumerate(news, 1):
            bar = bar_of_announced(data, at)
            if bar["lock"] not in known:
                self._timeline.add(bar)
            if not count % NEWS_AT_ONCE:
                await asyncio.sleep(0)

    async def _hand_out(self, frame: bytes) -> None:
        streams = tuple(self._streams)
        for start in range(0, len(streams), AT_ONCE):
            for stream in streams[start : start + AT_ONCE]:
                stream.put(frame)
            await asyncio.sleep(0)

    def _whole(self) -> bytes:
        """Made once for many who join at once: what changes after it comes with the next frame."""
        now = self._wall()
        if self._first is None or not 0 <= now - self._first[0] < self._step:
            self._first = (now, self._frame(self._timeline.all(), whole=True))
        return self._first[1]

    def _frame(self, ended: list[Bar], *, whole: bool) -> bytes:
        document = board(self._status(), self._wall(), ended, whole=whole)
        return b"data: %b\n\n" % json.dumps(document, allow_nan=False, separators=(",", ":")).encode()
