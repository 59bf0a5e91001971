"""What the lock has to show: the bars, as data."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from bench.contenders import FLOOR, GPULOCK
from bench.placement import Placement
from bench.works import commands, crash, grants, handover, idle, onlookers, pipelining, startup, together, uncontended


@dataclass(frozen=True, slots=True)
class Bar:
    """`metric` of `contender`, or its ratio to the same of `against`, is at least or at most `limit`."""

    text: str
    work: str
    case: str
    metric: str
    sense: Literal["at least", "at most"]
    limit: float
    against: str | None = None
    placement: Placement = "free"
    unit: str = ""
    loose: float | None = None
    """The limit in the quick run, which a noisy machine must keep too; None: not judged there."""
    quick_only: bool = False
    """Whether it stands for a larger one that takes too long there."""
    contender: str = GPULOCK


_ONE = uncontended.CASE
_BUSY = handover.case(8, 0)

# fmt: off
BARS: Sequence[Bar] = (
    Bar("cycles a second against redis-py",
        "uncontended", _ONE, "cycles_per_s", "at least", 3.0, "redis-py"),
    Bar("cycles a second against the floor",
        "uncontended", _ONE, "cycles_per_s", "at least", 1.0, FLOOR),
    Bar("cycles a second against the floor, on one core",
        "uncontended", _ONE, "cycles_per_s", "at least", 0.5, FLOOR, "one core"),
    Bar("CPU time of a cycle, client and server, against the floor's",
        "uncontended", _ONE, "cpu_us", "at most", 2.0, FLOOR, "one core", loose=25.0, quick_only=True),
    Bar("CPU time of a cycle, client and server, against redis-py's",
        "uncontended", _ONE, "cpu_us", "at most", 0.35, "redis-py", "one core", loose=4.0, quick_only=True),
    Bar("p99 of a cycle against its p50", "uncontended", _ONE, "tail", "at most", 5.0),
    Bar("p99 of a cycle against its p50, on one core", "uncontended", _ONE, "tail", "at most", 5.0, None, "one core"),

    Bar("handover gap of 8 processes, p50 against the floor",
        "handover", _BUSY, "gap_p50_ms", "at most", 2.0, FLOOR),
    Bar("the server's CPU time of a turn of 8 processes, against the floor's",
        "handover", _BUSY, "server_cpu_us", "at most", 3.0, FLOOR, loose=30.0, quick_only=True),
    Bar("handover gap of 8 processes, p99 against the floor", "handover", _BUSY, "gap_p99_ms", "at most", 3.0, FLOOR),
    Bar("handover gap of 8 processes on one core, p50 against the floor",
        "handover", _BUSY, "gap_p50_ms", "at most", 2.0, FLOOR, "one core"),
    Bar("handover gap of 8 processes on one core, p99 against the floor",
        "handover", _BUSY, "gap_p99_ms", "at most", 3.0, FLOOR, "one core"),
    Bar("handover gap of 8 processes, p50 against python-redis-lock",
        "handover", _BUSY, "gap_p50_ms", "at most", 0.25, "python-redis-lock"),
    *(bar for count in (8, 32) for bar in (
        Bar(f"turns a second of {count} processes that hold for 5 ms, against the floor",
            "handover", handover.case(count, 5), "turns_per_s", "at least", 0.97, FLOOR,
            loose=0.08 if count == 8 else None),
        Bar(f"most turns less least turns, {count} processes that hold for 5 ms",
            "handover", handover.case(count, 5), "spread", "at most", 1.0, loose=2.0 if count == 8 else None),
    )),
    Bar("8 at once, 20 ms each, against the sum of their holds",
        "together", together.CASE, "stretch", "at most", 1.05, loose=4.0),
    Bar("Redis commands for 100,000 turns, beyond the heartbeat's",
        "commands", commands.case(100_000), "beyond_heartbeat", "at most", 0),
    Bar("Redis commands for 4,000 turns, beyond the heartbeat's",
        "commands", commands.case(4_000), "beyond_heartbeat", "at most", 0, loose=0, quick_only=True),

    Bar("SIGKILL of the holder to the next grant, p50",
        "crash", crash.SMALL, "p50_ms", "at most", 5.0, unit="ms"),
    Bar("SIGKILL of the holder to the next grant, p99", "crash", crash.SMALL, "p99_ms", "at most", 20.0, unit="ms"),
    Bar("SIGKILL of the holder to the next grant, p50 against the floor",
        "crash", crash.SMALL, "p50_ms", "at most", 3.0, FLOOR,
        loose=50.0, quick_only=True),
    Bar("a holder of 4 GiB: the next grant after the kernel's word that it has ended",
        "crash", crash.LARGE, "after_exit_ms", "at most", 5.0, unit="ms"),

    Bar("1,000 idle waiters: the daemon's CPU", "idle", idle.case(1_000), "cpu_percent", "at most", 0.5, unit="%",
        loose=5.0),
    Bar("1,000 idle waiters: the daemon's memory for each",
        "idle", idle.case(1_000), "kib_each", "at most", 6.0, unit="KiB", loose=8.0),
    Bar("1,000 idle waiters: Redis commands beyond the heartbeat's",
        "idle", idle.case(1_000), "commands_beyond_heartbeat", "at most", 0, loose=0),
    Bar("10,000 idle waiters: the daemon's CPU", "idle", idle.case(10_000), "cpu_percent", "at most", 1.0, unit="%"),
    Bar("a grant with 10,000 waiting against one with 10",
        "grants", grants.case(10_000), "growth", "at most", 1.5),
    Bar("a grant with 1,000 waiting against one with 10",
        "grants", grants.case(1_000), "growth", "at most", 1.5, loose=4.0, quick_only=True),
    Bar("1,000 granted one after the other by disconnects, against the floor",
        "grants", grants.DRAIN, "ms", "at most", 5.0, FLOOR, loose=100.0),
    Bar("100 pipelining connections: requests a second of one core against the floor's",
        "pipelining", pipelining.CASE, "requests_per_cpu_s", "at least", 0.4, FLOOR, "one core", loose=0.004),

    Bar("a handover that 100 status pages and 50 scrapes a second look at, p99 against one that nobody does",
        "onlookers", onlookers.CASE, "growth", "at most", 1.2, loose=3.0),

    Bar("gpulock -- true against python -c pass",
        "startup", startup.ONCE, "ms", "at most", 2.5, startup.PLAIN, loose=6.0, contender=startup.COMMAND),
    Bar("import gpulock", "startup", startup.ONCE, "ms", "at most", 40.0, unit="ms", contender=startup.IMPORT),
    Bar("gpulockctl status", "startup", startup.ONCE, "ms", "at most", 150.0, unit="ms", contender=startup.STATUS),
    Bar("the daemon is ready after exec", "startup", startup.READY, "ms", "at most", 600.0, unit="ms"),
)
# fmt: on


def bars_of(works: Collection[str], *, quick: bool) -> list[Bar]:
    """Those that a run of these works is judged by."""
    return [bar for bar in BARS if bar.work in works and (bar.loose is not None if quick else not bar.quick_only)]
