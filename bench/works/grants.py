"""What a grant costs where many wait: with 10,000 in the queue, and when a thousand leave one after the other."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import partial

from bench.cells import Absences, Cell, Metrics, Plan, Work
from bench.clock import now
from bench.contenders import FLOOR, GPULOCK
from bench.speech import ACQUIRE, Crowd, DaemonSpeech, FloorSpeech, Speech
from bench.stage import Stage
from bench.workers import Told, Worker
from gpulockd.evidence.statistics import quantile

DRAIN = "1,000 granted one after the other by disconnects"
_PATIENCE = 30.0
_GRANTS = 300
_FEW = 10


def case(many: int) -> str:
    return f"a grant with {many:,} waiting and with {_FEW}"


def many(plan: Plan) -> int:
    return 10_000 if plan.full else 1_000


def cells(stage: Stage, plan: Plan, absences: Absences) -> Iterator[Cell]:  # noqa: ARG001  # nobody else takes part
    for name, path, speech in (
        (GPULOCK, stage.daemon.socket, DaemonSpeech()),
        (FLOOR, stage.floor.socket, FloorSpeech()),
    ):
        yield Cell(case(many(plan)), name, partial(growth, path, speech, many(plan)), rounds=3)
        yield Cell(DRAIN, name, partial(drain, path, speech))


WORK = Work("grants", "Grants from a long queue", cells, "ms")


def growth(path: str, speech: Speech, count: int) -> Metrics:
    few, many = (_told(_grant, path, speech, waiting) for waiting in (_FEW, count))
    return {f"us_with_{_FEW}": few, "us_with_many": many, "growth": many / few}


def drain(path: str, speech: Speech) -> Metrics:
    return {"ms": _told(_drain, path, speech, 1_000)}


def _told(work: object, *arguments: object) -> float:
    assert callable(work)
    worker = Worker(work, *arguments)
    try:
        answer: float = worker.hear(300)
        return answer
    finally:
        worker.end()


def _grant(told: Told, path: str, speech: Speech, waiting: int) -> None:
    """Whoever is granted the lock gives it back and queues again, so that as many wait as before."""
    crowd = Crowd(path, speech)
    for _ in range(waiting + 1):
        crowd.wait()
    again = speech.release() + speech.acquire()
    moments: list[int] = []
    while len(moments) <= _GRANTS + waiting // 10:
        for member, answers in crowd.hear(_PATIENCE):
            if ACQUIRE in answers:
                moments.append(now())
                member.sendall(again)
    took = [after - before for before, after in itertools.pairwise(moments)]
    told.send(quantile(took[-_GRANTS:], 0.5) / 1e3)
    told.recv()


def _drain(told: Told, path: str, speech: Speech, waiting: int) -> None:
    crowd = Crowd(path, speech)
    holder = crowd.hold()
    for _ in range(waiting):
        crowd.wait()
    start = now()
    crowd.leave(holder)
    granted = 0
    while granted < waiting:
        for member, answers in crowd.hear(_PATIENCE):
            if ACQUIRE in answers:
                granted += 1
                crowd.leave(member)
    told.send((now() - start) / 1e6)
    told.recv()
