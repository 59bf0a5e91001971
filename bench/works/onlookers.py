"""What it costs a handover that others look on: 100 open status pages, and 50 scrapes a second.

While the lock goes round, quiet windows and watched ones take turns of half a second, so that the machine is the same
for both. The onlookers have the lowest priority, since in the field they are on other machines: what is measured is
what the daemon does for them, not what they do with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
from bisect import bisect
from collections.abc import AsyncIterator, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from bench.cells import Absences, Cell, Metrics, Plan, Work
from bench.clock import NS, cpu_seconds, now
from bench.contenders import CONTENDERS, GPULOCK
from bench.locks import Lock
from bench.servers import Daemon
from bench.stage import Stage
from bench.workers import Told, Worker
from bench.works.contention import Turn, contend
from gpulockd.evidence.statistics import quantile

PAGES, SCRAPES = 100, 50
"""Pages that are open, and scrapes a second."""
PROCESSES, HOLD = 8, 0.001
"""Who hands the lock over to each other, and for how many seconds each has it."""
CASE = f"{PROCESSES} processes, hold {HOLD * 1e3:.0f} ms, {PAGES} pages and {SCRAPES} scrapes a second"
_HOST = "127.0.0.1"
_LOWEST = 19
_WINDOW, _SETTLE = 0.5, 0.2
"""Seconds of a window, and before it: what the opening and closing of pages costs is not what is asked."""
_TIMES = 10
"""How much longer than for other works it is looked at: a hundredth of the handovers has to be many."""


class Window(NamedTuple):
    """From when to when nobody looked on, or everybody did."""

    start: int
    end: int
    watched: bool
    scrapes: int


def cells(stage: Stage, plan: Plan, absences: Absences) -> Iterator[Cell]:  # noqa: ARG001  # nobody else takes part
    lock = CONTENDERS[GPULOCK](stage)
    yield Cell(CASE, GPULOCK, partial(watched, lock, stage.daemon, plan.seconds * _TIMES))


WORK = Work("onlookers", "Onlookers", cells, "gap_p99_ms")


def watched(lock: Lock, daemon: Daemon, seconds: float) -> Metrics:
    """Handovers of so many seconds; `growth` is by how much those are slower at p99 that are looked at."""
    onlookers = Worker(_look_on, daemon.http_port)
    used = cpu_seconds(daemon.pid)
    try:
        turns, _, stop = contend(lock, PROCESSES, HOLD, seconds=seconds)
        used = cpu_seconds(daemon.pid) - used
        onlookers.tell("enough")
        windows: list[Window] = onlookers.hear()
    finally:
        onlookers.end()
    quiet, seen = sorted_gaps([turn for turn in turns if turn.got < stop], windows)
    looked = [window for window in windows if window.watched and window.start < stop]
    return {
        "gap_p50_ms": quantile(seen, 0.5) / 1e6,
        "gap_p99_ms": quantile(seen, 0.99) / 1e6,
        "quiet_p50_ms": quantile(quiet, 0.5) / 1e6,
        "quiet_p99_ms": quantile(quiet, 0.99) / 1e6,
        "growth": quantile(seen, 0.99) / quantile(quiet, 0.99),
        "handovers": min(len(seen), len(quiet)),
        "scrapes_per_s": sum(each.scrapes for each in looked) / sum(each.end - each.start for each in looked) * NS,
        "daemon_cpu_percent": used / seconds * 100,
    }


def sorted_gaps(turns: Sequence[Turn], windows: Sequence[Window]) -> tuple[list[int], list[int]]:
    """Nanoseconds from just before a release to the next process's having the lock: in quiet windows, in watched ones.

    What began between two windows, while the pages were opened or closed, is in neither.
    """
    starts = [window.start for window in windows]
    found: tuple[list[int], list[int]] = ([], [])
    for last, turn in itertools.pairwise(turns):
        at = bisect(starts, last.given) - 1
        if turn.process != last.process and at >= 0 and last.given < windows[at].end:
            found[windows[at].watched].append(turn.got - last.given)
    return found


def _look_on(told: Told, port: int) -> None:
    """Opens the pages and scrapes, and leaves again, until the word `enough`; tells the windows."""
    os.nice(_LOWEST)
    asyncio.run(_onlooking(told, port))


async def _onlooking(told: Told, port: int) -> None:
    enough = asyncio.create_task(_word(told, "enough"))
    windows: list[Window] = []
    while not enough.done():
        windows.append(await _window(watched=False))
        async with contextlib.AsyncExitStack() as pages:
            for _ in range(PAGES):
                await pages.enter_async_context(_page(port))
            windows.append(await _window(watched=True, port=port))
    await enough
    told.send(windows)


async def _window(*, watched: bool, port: int = 0) -> Window:
    await asyncio.sleep(_SETTLE)
    start = now()
    if not watched:
        await asyncio.sleep(_WINDOW)
        return Window(start, now(), watched, 0)
    scraping = asyncio.create_task(_scrape(port))
    await asyncio.sleep(_WINDOW)
    end = now()
    scraping.cancel()
    return Window(start, end, watched, await scraping)


async def _word(told: Told, word: str) -> None:
    loop = asyncio.get_running_loop()
    heard = asyncio.Event()
    loop.add_reader(told.fileno(), heard.set)
    try:
        await heard.wait()
    finally:
        loop.remove_reader(told.fileno())
    if (said := told.recv()) != word:
        raise ValueError(f"{said!r} is not {word!r}")


@contextlib.asynccontextmanager
async def _page(port: int) -> AsyncIterator[None]:
    """One that reads what it is sent."""
    reader, writer = await asyncio.open_connection(_HOST, port)
    writer.write(_get("/api/v1/board"))
    await _answered(reader)
    reading = asyncio.create_task(_read_all(reader))
    try:
        yield
    finally:
        reading.cancel()
        writer.transport.abort()


async def _read_all(reader: asyncio.StreamReader) -> None:
    while await reader.read(1 << 16):
        pass


async def _scrape(port: int) -> int:
    """As Prometheus does, over one connection; returns how often, when it is cancelled."""
    reader, writer = await asyncio.open_connection(_HOST, port)
    scraped = 0
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        while True:
            writer.write(_get("/metrics"))
            headers = await _answered(reader)
            await reader.readexactly(int(headers["content-length"]))
            scraped += 1
            await asyncio.sleep(began + scraped / SCRAPES - loop.time())
    except asyncio.CancelledError:
        return scraped
    finally:
        writer.transport.abort()


def _get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: {_HOST}\r\n\r\n".encode()


async def _answered(reader: asyncio.StreamReader) -> dict[str, str]:
    """The headers of an answer, which must be a good one."""
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
    if " 200 " not in first:
        raise ConnectionError(first)
    return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
