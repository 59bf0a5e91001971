"""Thousands that wait behind one holder who does not let go: what their waiting costs."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial

from bench.cells import Absences, Cell, Metrics, Plan, Work
from bench.clock import cpu_seconds
from bench.contenders import CONTENDERS, FLOOR, GPULOCK
from bench.locks import Lock
from bench.servers import Redis, Server
from bench.speech import Crowd, DaemonSpeech, FloorSpeech, Speech
from bench.stage import Stage
from bench.workers import Told, Worker, crew
from bench.works.commands import HEARTBEAT
from bench.works.entries import entries

PEERS = ("redis-py", "python-redis-lock")
_SETTLE = 1.0
_KIB = 1 << 10


def case(waiters: int) -> str:
    return f"{waiters:,} waiters"


def cells(stage: Stage, plan: Plan, absences: Absences) -> Iterator[Cell]:
    seconds = HEARTBEAT * (4 if plan.full else 1)
    rounds = 3 if plan.full else 1
    for count in (1_000, 10_000) if plan.full else (1_000,):
        yield Cell(case(count), GPULOCK, partial(behind_daemon, count, seconds), rounds=rounds)
        yield Cell(case(count), FLOOR, partial(behind_floor, count, seconds), rounds=rounds)
    for name in entries(stage, PEERS if plan.full else (), absences):

        def processes(name: str = name) -> Metrics:
            return waiting_processes(stage, name, 1_000, seconds)

        yield Cell(case(1_000), name, processes, rounds=1)


WORK = Work("idle", "Idle waiters", cells, "kib_each")


def behind_daemon(count: int, seconds: float) -> Metrics:
    """Of a server of its own: one that has had as many before has their memory still."""
    with Stage() as stage:
        return connections(stage.daemon, stage.daemon.socket, DaemonSpeech(), count, seconds, stage.daemon.leases)


def behind_floor(count: int, seconds: float) -> Metrics:
    with Stage() as stage:
        return connections(stage.floor, stage.floor.socket, FloorSpeech(), count, seconds, None)


def connections(server: Server, path: str, speech: Speech, count: int, seconds: float, leases: Redis | None) -> Metrics:
    """Waiters that are connections of one process: a server cannot tell."""
    crowd = Worker(_wait, path, speech, count)
    try:
        crowd.hear()  # the first few have come, and their memory with them
        at_rest = leases.calls() if leases else {}
        calm_for = max(seconds, 2 * HEARTBEAT + 1) if leases else 0
        time.sleep(calm_for)
        calm = _calls_since(at_rest, leases)
        empty = server.resident
        crowd.tell("join")
        crowd.hear(120)
        time.sleep(_SETTLE)
        resident, used, before, began = server.resident, cpu_seconds(server.pid), _calls(leases), time.monotonic()
        time.sleep(seconds)
        wall = time.monotonic() - began
        used = cpu_seconds(server.pid) - used
        busy = _calls_since(before, leases)
    finally:
        crowd.end()
    metrics = {"cpu_percent": used / wall * 100, "kib_each": (resident - empty) / count / _KIB}
    if leases:
        # A heartbeat more or less falls into each window by chance.
        a_beat = calm / math.floor(calm_for / HEARTBEAT)
        metrics["commands_beyond_heartbeat"] = max(0, busy - math.ceil(a_beat * (wall // HEARTBEAT + 1)))
    return metrics


def waiting_processes(stage: Stage, name: str, count: int, seconds: float) -> Metrics:
    """Waiters that are processes, since their clients are what polls."""
    holder = CONTENDERS[name](stage, f"idle-{name}")
    server = stage.redis
    empty = server.resident
    with crew(1, _hold, holder) as (first,):
        first.hear()
        with crew(count, _wait_alone, holder) as waiters:
            for waiter in waiters:
                waiter.hear()
            time.sleep(_SETTLE * 2)
            pids = [waiter.pid for waiter in waiters]
            before, began = server.calls(), time.monotonic()
            used, clients = cpu_seconds(server.pid), sum(map(cpu_seconds, pids))
            time.sleep(seconds)
            wall = time.monotonic() - began
            return {
                "cpu_percent": (cpu_seconds(server.pid) - used) / wall * 100,
                "kib_each": (server.resident - empty) / count / _KIB,
                "commands_per_s": _calls_since(before, server) / wall,
                "clients_cpu_percent": (sum(map(cpu_seconds, pids)) - clients) / wall * 100,
            }


def _calls(server: Redis | None) -> dict[str, int]:
    return server.calls() if server else {}


def _calls_since(before: dict[str, int], server: Redis | None) -> int:
    return (Counter(_calls(server)) - Counter(before)).total()


def _wait(told: Told, path: str, speech: Speech, count: int) -> None:
    crowd = Crowd(path, speech)
    crowd.hold()
    for _ in range(20):
        crowd.wait()
    told.send("warm")
    told.recv()
    for _ in range(count):
        crowd.wait()
    told.send("all wait")
    told.recv()


def _hold(told: Told, _: int, lock: Lock) -> None:
    lock.open()
    lock.acquire()
    told.send("held")
    while True:
        time.sleep(_SETTLE)
        lock.keep()


def _wait_alone(told: Told, _: int, lock: Lock) -> None:
    lock.open()
    told.send("waiting")
    lock.acquire()
