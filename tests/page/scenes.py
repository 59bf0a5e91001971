"""What a status page may have to show: made-up hosts with hours behind them, served by the real server."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import random
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from gpulock.documents import GpuView, LockView, OwnerView, ProcessView, RequestView, StatusDocument
from gpulockd.history import Ended
from gpulockd.http import HttpServer, Metrics
from tests.http import documents

HOUR = 3600.0
GIB = 1 << 30


@dataclass
class Scene:
    status: StatusDocument
    past: Sequence[Ended] = field(default_factory=list)


@dataclass(frozen=True)
class Kind:
    """A kind of task: who runs it, and how long it takes."""

    task: str
    user: str
    command: str
    shortest: float
    longest: float


OCR = Kind("ocr: invoices", "celery-ocr", "celery -A documents worker -Q ocr", 60, 420)
SCANS = Kind("ocr: land register 1911", "celery-ocr", "celery -A documents worker -Q ocr", 300, 1500)
SPEECH = Kind("transcribe: council meeting", "minna", "python transcribe.py --model large-v3", 900, 3000)
PODCAST = Kind("transcribe: podcast 214", "minna", "python transcribe.py --model large-v3", 600, 1500)
VOICE = Kind("tts: audiobook, chapter 12", "jonas", "gpulock --task tts -- python speak.py", 240, 1200)
TRAIN = Kind("finetune: layout-lm", "priya", "torchrun --nproc-per-node 2 finetune.py", 4000, 9000)
EMBED = Kind("embed: archive", "celery-ocr", "celery -A documents worker -Q embed", 120, 700)
NOTEBOOK = Kind("notebook", "tom", "jupyter-lab --no-browser", 1200, 3600)

WEEKDAY: Sequence[tuple[Sequence[int], float, Sequence[Kind], str]] = (
    ((0,), 142.0, (OCR, OCR, SCANS, OCR), "released"),
    ((1,), 2311.0, (SPEECH, PODCAST), "released"),
    ((2,), 656.0, (VOICE, EMBED, VOICE), ""),
    ((3, 4), 5982.0, (TRAIN,), "max-hold"),
    ((5,), 39.0, (EMBED, OCR, EMBED), "released"),
    ((6,), 252.0, (NOTEBOOK, PODCAST), "died"),
    ((7,), 1500.0, (SCANS, VOICE, OCR), "released"),
)
"""The GPUs, how many seconds they have been free of what is told, what was on them, and how the last of it ended."""
ENDS = ("released",) * 60 + ("died", "max-hold", "disconnected", "revoked")


def owner(kind: Kind, pid: int) -> OwnerView:
    return OwnerView(pid=pid, uid=1000, user=kind.user, command=kind.command, container="")


def card(index: int, **changes: object) -> GpuView:
    name = "NVIDIA L40S" if index < 4 else "NVIDIA RTX 6000 Ada Generation"
    uuid = f"GPU-{index:08x}-6a1f-4c7d-9b3e-2f8054c1d7aa"
    return documents.gpu(index, uuid=uuid, name=name, memory_total=48 * GIB, **changes)


def request(position: int, kind: Kind, waited: float, count: int = 1, **changes: object) -> RequestView:
    view = documents.request(position, waited)
    made = {"id": f"R3-{900 + position}", "task": kind.task, "owner": owner(kind, 40_000 + position), "count": count}
    return RequestView(**{**view, **made, "time_left": 1800.0 + HOUR - waited, **changes})  # type: ignore[typeddict-item]


def held(
    number: int, kind: Kind, gpus: Sequence[GpuView], held_for: float, waited: float, **changes: object
) -> LockView:
    made = {"owner": owner(kind, 30_000 + number), "task": kind.task, "gpus": [gpu["uuid"] for gpu in gpus]}
    view = documents.lock(f"L3-{number}", held_for=held_for, waited=waited, time_left=7200.0 - held_for)
    return LockView(**{**view, **made, **changes})  # type: ignore[typeddict-item]


def ended(kind: Kind, gpus: Sequence[int], how: str, until: float, length: float, waited: float) -> Ended:
    return Ended(
        lock="",
        token=0,
        gpus=tuple(card(index)["uuid"] for index in gpus),
        user=kind.user,
        uid=1000,
        pid=20_000 + int(length),
        command=kind.command,
        task=kind.task,
        waited=waited,
        held=length,
        granted_at=until - length,
        ended_at=until,
        how=how,
        by="root" if how == "revoked" else "",
    )


def before(
    chance: random.Random, gpus: Sequence[int], kinds: Sequence[Kind], until: float, since: float, how: str = ""
) -> Iterator[Ended]:
    """What went on on some GPUs, back from the last of them, which ended as `how` says."""
    for turn in itertools.count():
        if until < since:
            return
        kind = kinds[turn % len(kinds)]
        length = chance.uniform(kind.shortest, kind.longest)
        waited = chance.choice((0.0, 0.0, 30.0, 200.0, 700.0))
        yield ended(kind, gpus, how or chance.choice(ENDS), until, length, waited)
        until -= length + chance.choice((0.2, 0.5, 2.0, 240.0))
        how = ""


def numbered(past: Iterable[Ended]) -> list[Ended]:
    """The latest first, as history tells of it; the last of them is L3-405."""
    found = sorted(past, key=lambda each: each.ended_at, reverse=True)
    return [
        dataclasses.replace(each, lock=f"L3-{405 - place}", token=(3 << 32) + 9405 - place)
        for place, each in enumerate(found)
    ]


def weekday(now: float) -> Scene:
    """Eight GPUs at work, a quarantine with its culprit, and six who wait."""
    chance = random.Random(11)
    began = now - 6.5 * HOUR
    past = numbered(
        each
        for gpus_of_it, free_for, kinds, how in WEEKDAY
        for each in before(chance, gpus_of_it, kinds, now - free_for, began, how)
    )
    left = ProcessView(
        pid=27184,
        memory=11 * GIB,
        user="tom",
        command="python -m ipykernel_launcher",
        container="",
        relation="culprit",
        tie="descent",
    )
    last = next(each for each in past if card(6)["uuid"] in each.gpus)
    seen = documents.in_quarantine(6)["quarantine"]
    assert seen is not None
    quarantine = {**seen, "since": 252.0, "lock": last.lock, "holder": owner(NOTEBOOK, 27101), "culprits": [left]}

    def at_work(index: int, lock: int, load: float, memory: float) -> GpuView:
        return card(index, state="held", lock=f"L3-{lock}", utilization=load, memory_used=int(memory * GIB))

    gpus = [
        at_work(0, 411, 0.93, 21.4),
        at_work(1, 402, 0.88, 10.2),
        at_work(2, 409, 0.61, 6.8),
        at_work(3, 397, 0.99, 43.1),
        at_work(4, 397, 0.98, 43.3),
        at_work(5, 413, 0.34, 3.9),
        card(6, state="quarantined", quarantine=quarantine, processes=[left], utilization=0.0, memory_used=11 * GIB),
        card(7, drained="new power supply", blocked=["drained: new power supply"], utilization=0.0, memory_used=0),
    ]
    locks = [
        held(411, OCR, gpus[:1], 141.0, 12.0, progress=0.42, note="page 812 of 1930", beat_age=0.8),
        held(402, SPEECH, gpus[1:2], 2310.0, 610.0, progress=0.71, note="02:14:30", beat_age=2.1),
        held(409, VOICE, gpus[2:3], 655.0, 95.0),
        held(397, TRAIN, gpus[3:5], 5980.0, 1240.0, level="soft", time_left=1220.0, progress=0.83, beat_age=3.0),
        held(413, EMBED, gpus[5:6], 38.0, 4.0),
    ]
    queue = [
        request(1, TRAIN, 1934.0, count=2, selectors=[]),
        request(2, SCANS, 811.0),
        request(3, PODCAST, 644.0),
        request(4, VOICE, 398.0, selectors=["2", "5"]),
        request(5, OCR, 63.0),
        request(6, OCR, 17.0),
    ]
    status = documents.status(*gpus, queue=queue, locks=locks)
    status["host"] = "athena"
    status["daemon"] |= {
        "driver": "NVIDIA 570.133.20",
        "simulated": False,
        "uptime": 11 * 24 * HOUR,
        "version": "1.0.0",
    }
    return Scene(status, past)


def crowd(now: float, gpus: int = 64, waiters: int = 500) -> Scene:
    """As many as there may be, each GPU with hours behind it."""
    kinds = [kind for _, _, kinds, _ in WEEKDAY for kind in kinds]
    cards = [card(index, state="held", lock=f"L3-{1000 + index}", utilization=0.8) for index in range(gpus)]
    locks = [
        held(1000 + index, kinds[index % len(kinds)], [each], 60.0 + index, 5.0) for index, each in enumerate(cards)
    ]
    queue = [request(place, kinds[place % len(kinds)], 4000.0 - place) for place in range(1, waiters + 1)]
    chance = random.Random(5)
    past = [
        each
        for index in range(gpus)
        for each in before(chance, [index], [kinds[index % len(kinds)]], now - 62.0 - index, now - 6 * HOUR)
    ]
    return Scene(documents.status(*cards, queue=queue, locks=locks), numbered(past))


@contextlib.asynccontextmanager
async def served(scene: Scene, port: int) -> AsyncIterator[str]:
    """The address of its page."""
    server = HttpServer(
        "127.0.0.1", port, status=lambda: scene.status, metrics=Metrics(), history=lambda most: scene.past[:most]
    )
    await server.start()
    try:
        yield f"http://127.0.0.1:{port}/"
    finally:
        await server.stop()


def now() -> float:
    return time.time()
