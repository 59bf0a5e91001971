"""Documents as the daemon answers them, to render: from an idle host to a crowded one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from gpulock.configuration import ConfigDocument, SettingView
    from gpulock.documents import (
        DescribeDocument,
        EndedView,
        GpuView,
        HistoryDocument,
        HostView,
        LeaseView,
        LockView,
        OwnerView,
        ProcessView,
        QueueDocument,
        RecallView,
        RequestView,
        StatusDocument,
        TotalView,
        UnmetView,
        WhyDocument,
    )

GIB = 1024**3


def owner(user: str, pid: int, command: str = "", container: str = "") -> OwnerView:
    return {"pid": pid, "uid": 1000 + len(user), "user": user, "command": command, "container": container}


ANNA = owner("anna", 48213, "python train.py --config configs/llama-8b.yml --resume")
BERT = owner("bert", 50112, "celery -A tasks worker -Q ocr", "4f1c2a9b07de")
CAROL = owner("carol", 49901, "python infer.py")
DORA = owner("dora", 51002, "python transcribe.py --batch 16")
EMIL = owner("emil", 51077, "jupyter-kernel", "7be01d55a1c3")


def uuid(index: int) -> str:
    return f"GPU-{index * 0x1111111 + 0x3F2A81C0:08x}-9c1d-4e2f-8a3b-{index:012x}"


def process(view: OwnerView, memory: float | None, relation: str = "holder") -> ProcessView:
    return {
        "pid": view["pid"],
        "memory": None if memory is None else round(memory * GIB),
        "user": view["user"],
        "command": view["command"],
        "container": view["container"],
        "relation": relation,  # type: ignore[typeddict-item]
        "tie": "descent" if relation == "culprit" else "",
    }


def gpu(index: int, used: float | None = 0.5, utilization: float | None = 0.0, **changes: object) -> GpuView:
    plain: GpuView = {
        "index": index,
        "uuid": uuid(index),
        "name": "NVIDIA H100 80GB HBM3",
        "parent": None,
        "memory_total": 85_520_809_984,
        "memory_used": None if used is None else round(used * GIB),
        "utilization": utilization,
        "state": "free",
        "lock": None,
        "blocked": [],
        "drained": None,
        "fault": None,
        "elsewhere": None,
        "clear_by": "driver",
        "quarantine": None,
        "processes": [],
    }
    return plain | changes  # type: ignore[return-value]


def lock(name: str, gpus: list[int], holder: OwnerView, task: str = "", **changes: object) -> LockView:
    plain: LockView = {
        "id": name,
        "token": 12_884_901_889 + gpus[0],
        "gpus": [uuid(each) for each in gpus],
        "owner": holder,
        "task": task,
        "profile": "",
        "labels": {},
        "priority": 0,
        "state": "held",
        "waited": 3.2,
        "held_for": 724.0,
        "time_left": 2876.0,
        "connected": True,
        "recall": None,
        "level": "",
        "stalled": False,
        "progress": None,
        "note": "",
        "beat_age": None,
    }
    return plain | changes  # type: ignore[return-value]


def request(position: int, holder: OwnerView, waited: float, **changes: object) -> RequestView:
    plain: RequestView = {
        "id": f"R3-{40 + position}",
        "position": position,
        "count": 1,
        "selectors": [],
        "owner": holder,
        "task": "",
        "priority": 0,
        "waited": waited,
        "time_left": 1800.0 - waited,
        "overtaken": 0,
    }
    return plain | changes  # type: ignore[return-value]


def recall(reason: str, by: str, note: str, time_left: float, obstacle: str = "") -> RecallView:
    return {"reason": reason, "by": by, "note": note, "time_left": time_left, "obstacle": obstacle}


REDIS_LEASE: LeaseView = {
    "kind": "redis",
    "state": "held",
    "ttl": 15.0,
    "age": 2.1,
    "why": "",
    "fault": "",
    "failures": {},
}
LOCAL_LEASE: LeaseView = {
    "kind": "local",
    "state": "held",
    "ttl": None,
    "age": None,
    "why": "",
    "fault": "",
    "failures": {},
}


def status(
    gpus: list[GpuView],
    locks: list[LockView] | None = None,
    queue: list[RequestView] | None = None,
    *,
    lease: LeaseView = REDIS_LEASE,
    simulated: bool = False,
    journal: str = "ok",
) -> StatusDocument:
    return {
        "schema_version": 1,
        "host": "gpu-07",
        "daemon": {
            "pid": 812,
            "version": "0.1.0",
            "uptime": 273_840.0,
            "simulated": simulated,
            "driver": "simulated" if simulated else "NVIDIA 550.54.15",
            "socket": "/run/gpulockd/gpulockd.sock",
            "sessions": 7,
            "journal": journal,
            "monitor": "active",
        },
        "lease": lease.copy(),
        "gpus": gpus,
        "locks": locks or [],
        "queue": queue or [],
    }


def idle() -> StatusDocument:
    return status([gpu(0), gpu(1)], lease=LOCAL_LEASE, simulated=True)


def one_gpu() -> StatusDocument:
    return status(
        [gpu(0, 21.3, 0.97, name="NVIDIA GeForce RTX 4090", memory_total=24 * GIB, state="held", lock="L1-1")],
        [lock("L1-1", [0], ANNA, "finetune", time_left=None)],
        lease=LOCAL_LEASE,
    )


LATER = r"12m(0[6-9]|[1-5]\d)s"
"""A pattern of how long anna has held her GPU two seconds after `busy`, or later: which second of them is on the screen
when somebody looks, nobody can say."""


def busy() -> StatusDocument:
    """Four GPUs: a long training, a container, a quarantine with what is in the way, one free and drained; a queue."""
    left_behind = owner("carol", 49917, "python infer.py --worker 3")
    return status(
        [
            gpu(0, 61.2, 0.97, state="held", lock="L3-17", processes=[process(ANNA, 60.9)]),
            gpu(1, 12.1, 0.34, state="held", lock="L3-21", processes=[process(BERT, 11.8)]),
            gpu(
                2,
                23.0,
                0.0,
                state="quarantined",
                quarantine={
                    "since": 41.0,
                    "lock": "L3-19",
                    "holder": CAROL,
                    "reason": "died",
                    "awaited": False,
                    "culprits": [process(left_behind, 22.4, "culprit")],
                },
                processes=[process(left_behind, 22.4, "culprit")],
            ),
            gpu(3, 0.5, 0.0, drained="new power supply on Monday"),
        ],
        [
            lock("L3-17", [0], ANNA, "finetune"),
            lock(
                "L3-21",
                [1],
                BERT,
                "ocr",
                held_for=130.0,
                time_left=3470.0,
                progress=0.62,
                note="page 310 of 500",
                beat_age=4.0,
            ),
        ],
        [
            request(1, DORA, 252.0, task="transcribe"),
            request(2, EMIL, 220.0, count=2),
            request(3, ANNA, 31.0, task="evaluate", count=1, selectors=[uuid(0)], time_left=None),
        ],
    )


def troubled() -> StatusDocument:
    """Eight GPUs, and everything that can be wrong with one at once."""
    stranger = owner("root", 2211, "Xorg :0")
    return status(
        [
            gpu(0, 70.0, 1.0, state="held", lock="L4-2"),
            gpu(1, 71.5, 1.0, state="held", lock="L4-2"),
            gpu(2, 30.2, 0.55, state="held", lock="L4-7"),
            gpu(3, None, None, fault="GPU is lost: the driver does not answer", blocked=["sick"], processes=None),
            gpu(4, 8.0, 0.1, elsewhere={"host": "gpu-03", "pid": 771}, blocked=["leased elsewhere"]),
            gpu(5, 0.3, 0.0, processes=[process(stranger, 0.3, "foreign")]),
            gpu(6, 40.0, 0.2, state="held", lock="L4-9"),
            gpu(7, 12.0, 0.0, state="held", lock="L4-8", drained=""),
        ],
        [
            lock("L4-2", [0, 1], ANNA, "finetune-large-language-model", held_for=190_000.0, time_left=58.0),
            lock("L4-7", [2], BERT, "ocr", state="recalled", recall=recall("revoked", "root", "maintenance", 7.5)),
            lock("L4-8", [7], CAROL, "", connected=False, time_left=3000.0, level="soft", stalled=True),
            lock(
                "L4-9",
                [6],
                EMIL,
                "notebook",
                state="killing",
                time_left=0.0,
                recall=recall("max-hold", "", "", 0.0, "pid 51077 may not be signalled: Operation not permitted"),
            ),
        ],
        lease={
            **REDIS_LEASE,
            "state": "degraded",
            "age": 11.0,
            "why": "Redis did not answer within 1s",
            "fault": "timeout",
            "failures": {"timeout": 9},
        },
        journal="disk full",
    )


def crowded() -> StatusDocument:
    """64 GPUs and 500 who wait."""
    users = [ANNA, BERT, CAROL, DORA, EMIL]
    gpus, locks = [], []
    for index in range(64):
        held = index % 9 != 5
        gpus.append(
            gpu(
                index,
                (index * 7) % 79 + 0.4,
                (index * 13 % 101) / 100,
                **({"state": "held", "lock": f"L9-{index}"} if held else {}),
            )
        )
        if held:
            locks.append(
                lock(
                    f"L9-{index}", [index], users[index % 5], ("finetune", "ocr", "")[index % 3], held_for=index * 97.0
                )
            )
    return status(
        gpus,
        locks,
        [request(place, users[place % 5], 5000.0 - place * 9, task="ocr", time_left=None) for place in range(1, 501)],
    )


def mig() -> StatusDocument:
    """One card whole, one cut into instances: their names differ, and the driver tells no utilization of a part."""
    part: Any = {
        "name": "NVIDIA A100-SXM4-40GB MIG 3g.20gb",
        "parent": uuid(9),
        "memory_total": 20 * GIB,
        "utilization": None,
    }
    return status(
        [
            gpu(0, 3.0, 0.4, name="NVIDIA A100-SXM4-40GB", memory_total=40 * GIB),
            gpu(1, 11.0, state="held", lock="L2-5", **part),
            gpu(2, 0.1, **part),
        ],
        [lock("L2-5", [1], owner("日本語", 4711, "python 学習.py"), "学習")],
    )


def host(name: str, states: str, age: float, waiting: int = 0, *, simulated: bool = False) -> HostView:
    """`states`: a letter for each GPU: h(eld), f(ree), q(uarantined), d(rained)."""
    people = [ANNA, BERT, CAROL]
    return {
        "host": name,
        "pid": 812,
        "version": "0.1.0",
        "simulated": simulated,
        "age": age,
        "waiting": waiting,
        "gpus": [
            {
                "index": index,
                "uuid": uuid(index),
                "name": "NVIDIA H100 80GB HBM3",
                "state": {"h": "held", "q": "quarantined"}.get(letter, "free"),
                "blocked": ["drained"] if letter == "d" else [],
                "holder": people[index % 3] if letter == "h" else None,
                "task": "finetune" if letter == "h" and index % 3 == 0 else "",
                "held_for": 60.0 if letter == "h" else None,
            }
            for index, letter in enumerate(states)
        ],
    }


def fleet() -> StatusDocument:
    hosts = [
        host("gpu-07", "hhqd", 1.0, 3),
        host("gpu-03", "hhhhhhhh", 2.4, 5),
        host("gpu-11", "hfffffff", 19.0),
        host("lab", "ff", 0.3, simulated=True),
    ]
    return {**busy(), "fleet": hosts}


def queue() -> QueueDocument:
    waiting = busy()["queue"]
    waiting[1]["overtaken"] = 3
    waiting[2]["priority"] = -5
    return {"schema_version": 1, "queue": waiting}


def why() -> WhyDocument:
    return {
        "schema_version": 1,
        "subject": "2",
        "kind": "gpu",
        "reasons": [
            "GPU 2 is in quarantine for 41.0 s after L3-19 (died)",
            "pid 49917 (carol) of L3-19 is still on it: python infer.py --worker 3",
        ],
        "next": ["gpulockctl describe 2"],
    }


def described_gpu() -> DescribeDocument:
    status = troubled()
    return {"schema_version": 1, "subject": "2", "gpu": status["gpus"][2], "lock": status["locks"][1]}


def described_quarantine() -> DescribeDocument:
    return {"schema_version": 1, "subject": "2", "gpu": busy()["gpus"][2]}


def awaited() -> StatusDocument:
    """A GPU whose holder did not come back and lives, under a driver that cannot tell who is on it."""
    quarantine = {
        "since": 9.0,
        "lock": "L3-19",
        "holder": CAROL,
        "reason": "abandoned",
        "awaited": True,
        "culprits": [],
    }
    return status([gpu(0, None, state="quarantined", quarantine=quarantine, processes=None, clear_by="holder")])


def described_awaited() -> DescribeDocument:
    return {"schema_version": 1, "subject": "0", "gpu": awaited()["gpus"][0]}


def described_lock() -> DescribeDocument:
    labels = {"team": "vision", "run": "2031"}
    beating = lock("L3-21", [1, 2], BERT, "ocr", progress=0.62, note="page 310 of 500", beat_age=4.0, labels=labels)
    return {"schema_version": 1, "subject": "L3-21", "lock": beating}


def described_request() -> DescribeDocument:
    return {"schema_version": 1, "subject": "R3-42", "request": queue()["queue"][1]}


NOON = 1_795_435_200.0
"""2026-11-23 12:00:00 UTC."""


def ended(name: str, gpus: list[int], holder: OwnerView, ago: float, how: str = "released", by: str = "") -> EndedView:
    return {
        "lock": name,
        "token": 12_884_901_889,
        "gpus": [uuid(each) for each in gpus],
        "user": holder["user"],
        "uid": holder["uid"],
        "pid": holder["pid"],
        "command": holder["command"],
        "task": "ocr" if holder is BERT else "",
        "waited": 0.4,
        "held": 724.0,
        "granted_at": NOON - ago - 724.0,
        "ended_at": NOON - ago,
        "how": how,
        "by": by,
        "profile": "",
        "container": "",
        "watched": 724.0 * len(gpus),
        "idle": 300.0 if holder is ANNA else 0.0,
        "peak_memory": None if holder is ANNA else 11 * GIB,
        "strangers": [],
    }


def unmet(request: str, holder: OwnerView, ago: float, how: str, waited: float = 0.0, times: int = 1) -> UnmetView:
    return {
        "request": request,
        "user": holder["user"],
        "uid": holder["uid"],
        "pid": holder["pid"],
        "command": holder["command"],
        "container": "",
        "task": "ocr" if holder is BERT else "",
        "profile": "",
        "wanted": 1,
        "waited": waited,
        "ended_at": NOON - ago,
        "how": how,
        "times": times,
    }


def history_with_requests() -> HistoryDocument:
    document = history()
    document["locks"][0]["strangers"] = [{"pid": 666, "user": "eve", "command": "python miner.py"}]
    document["requests"] = [
        unmet("R3-90", BERT, 30.0, "timeout", 1800.0),
        unmet("R3-88", CAROL, 60.0, "busy", times=412),
    ]
    return document


def total(user: str, task: str, **more: float) -> TotalView:
    document = {
        **dict.fromkeys(("locks", "held", "gpu_time", "waited", "watched", "idle", "lost", "unmet", "timeouts"), 0),
        "user": user,
        "task": task,
        "peak_memory": None,
        **more,
    }
    return cast("TotalView", document)


def history_totals() -> HistoryDocument:
    ocr = total(
        "bert", "ocr", locks=95, held=47_000.0, gpu_time=94_000.0, waited=5_700.0, watched=90_000.0, idle=9_000.0,
        peak_memory=11 * GIB, lost=2, unmet=417, timeouts=5,
    )  # fmt: skip
    return {
        **history(),
        "totals": [ocr, total("anna", "", locks=2, held=90.0, gpu_time=90.0), total("eve", "", unmet=7)],
    }


def history() -> HistoryDocument:
    return {
        "schema_version": 1,
        "locks": [
            ended("L3-19", [2], CAROL, 41.0, "died"),
            ended("L3-18", [0, 1], BERT, 5_000.0),
            ended("L2-4", [3], ANNA, 90_000.0, "revoked", "root (pid 2211), uid 0"),
            ended("L1-1", [77], ANNA, 40_000_000.0, "max-hold", "gpulockd"),
        ],
    }


def settings() -> ConfigDocument:
    def setting(key: str, value: object, source: str = "default") -> SettingView:
        return {"key": key, "value": value, "source": source}

    return {
        "schema_version": 1,
        "settings": [
            setting("daemon.socket", "/run/gpulockd/gpulockd.sock"),
            setting("daemon.admins", ["anna", 1007], "/etc/gpulockd/config.yml:12:3"),
            setting("gpu_lock.max_wait_time", 900.0, "environment GPU_LOCK_MAX_WAIT_TIME"),
            setting("gpu_lock.exponential_backoff", True),
            setting("gpu_lock.lock_timeout", float("inf")),
            setting("redis.url", ""),
        ],
        "file": "/etc/gpulockd/config.yml",
        "edited": True,
    }
