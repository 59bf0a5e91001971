"""What handovers within a host cost in Redis commands: none, but for the heartbeat of the leases."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterator

from bench.cells import Absences, Cell, Metrics, Plan, Work
from bench.contenders import GPULOCK
from bench.locks import Lock
from bench.servers import Redis
from bench.stage import Stage
from bench.works.contention import contend, gaps
from bench.works.entries import entries

PEERS = ("redis-py", "python-redis-lock")
HEARTBEAT = 3.0
"""Seconds between two renewals: a fifth of `redis.ttl` as it is shipped."""
_COUNT, _LIMIT = 8, 600.0


def case(turns: int) -> str:
    return f"{turns:,} turns of {_COUNT} processes"


def turns_of(plan: Plan, name: str) -> int:
    return (100_000 if plan.full else 4_000) if name == GPULOCK else 4_000


def cells(stage: Stage, plan: Plan, absences: Absences) -> Iterator[Cell]:
    for name, lock in entries(stage, (GPULOCK, *PEERS) if plan.full else (GPULOCK,), absences).items():
        turns, ours = turns_of(plan, name), name == GPULOCK
        server = stage.daemon.leases if ours else stage.redis

        def measure(lock: Lock = lock, server: Redis = server, turns: int = turns, ours: bool = ours) -> Metrics:
            return commands(lock, server, turns, HEARTBEAT * (4 if plan.full else 2) if ours else 0.0)

        yield Cell(case(turns), name, measure, rounds=1)


WORK = Work("commands", "Redis commands for handovers within a host", cells, "per_handover")


def commands(lock: Lock, server: Redis, count: int, idle: float) -> Metrics:
    """`idle`: seconds in which to see what the server is asked without any handover; 0: nothing is."""
    before, began = Counter(server.calls()), time.monotonic()
    time.sleep(idle)
    at_rest = (Counter(server.calls()) - before).total() / max(time.monotonic() - began, 1e-9)
    before, began = Counter(server.calls()), time.monotonic()
    turns, _, _ = contend(lock, _COUNT, 0, seconds=_LIMIT, turns=count // _COUNT)
    took, calls = time.monotonic() - began, Counter(server.calls()) - before
    # A heartbeat more or less falls into the window by chance.
    beyond = max(0, calls.total() - math.ceil(at_rest * (took + HEARTBEAT)))
    handovers = len(gaps(turns))
    return {
        "handovers": handovers,
        "commands": calls.total(),
        "heartbeat_per_s": at_rest,
        "beyond_heartbeat": beyond,
        "per_handover": beyond / handovers,
    }
