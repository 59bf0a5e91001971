"""A hundred connections that keep sixteen requests each under way: how many a second one core of server answers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial

from bench.cells import Absences, Cell, Metrics, Plan, Work
from bench.clock import NS, cpu_seconds, now
from bench.contenders import FLOOR, GPULOCK
from bench.placement import others
from bench.speech import Crowd, DaemonSpeech, FloorSpeech, Speech
from bench.stage import Stage
from bench.workers import Told, Worker

CASE = "100 connections, 16 requests under way"
ECHO = "framed echo"
_CONNECTIONS, _PAIRS = 100, 8
_PATIENCE = 30.0


def cells(stage: Stage, plan: Plan, absences: Absences) -> Iterator[Cell]:  # noqa: ARG001  # nobody else takes part
    for name, server, speech in (
        (GPULOCK, stage.daemon, DaemonSpeech()),
        (FLOOR, stage.floor, FloorSpeech()),
        (ECHO, stage.echo, FloorSpeech()),
    ):
        yield Cell(CASE, name, partial(load, server.socket, server.pid, speech, plan.seconds), "one core")


WORK = Work("pipelining", "Many pipelining connections", cells, "requests_per_cpu_s", gpus=_CONNECTIONS)


def load(path: str, pid: int, speech: Speech, seconds: float) -> Metrics:
    """Each connection has a lock of its own; the load comes from the other core."""
    worker = Worker(_load, path, pid, speech, seconds)
    try:
        answered, wall, used, own = worker.hear(seconds + 60)
    finally:
        worker.end()
    return {
        "requests_per_s": answered / wall,
        "requests_per_cpu_s": answered / used,
        "server_cpu_percent": used / wall * 100,
        "load_cpu_percent": own / wall * 100,
    }


def _load(told: Told, path: str, pid: int, speech: Speech, seconds: float) -> None:
    os.sched_setaffinity(0, others())
    crowd = Crowd(path, speech)
    batches = {}
    for index in range(_CONNECTIONS):
        member = crowd.join()
        batches[member] = b"".join(
            speech.acquire(index, 2 * pair) + speech.release(index, 2 * pair + 1) for pair in range(1, _PAIRS + 1)
        )
        member.sendall(batches[member])
    missing = dict.fromkeys(batches, 2 * _PAIRS)

    def go_on(seconds: float) -> tuple[int, float]:
        """How much was answered in how many seconds."""
        answered, began = 0, now()
        while (moment := now()) < began + seconds * NS:
            for member, answers in crowd.hear(_PATIENCE):
                answered += len(answers)
                missing[member] -= len(answers)
                if not missing[member]:
                    missing[member] = 2 * _PAIRS
                    member.sendall(batches[member])
        return answered, (moment - began) / NS

    go_on(seconds / 5)  # to warm up
    used, own = cpu_seconds(pid), cpu_seconds(os.getpid())
    answered, wall = go_on(seconds)
    told.send((answered, wall, cpu_seconds(pid) - used, cpu_seconds(os.getpid()) - own))
    told.recv()
