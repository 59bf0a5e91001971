"""A status as the daemon would give it, to be varied by a test."""

from __future__ import annotations

from gpulock.documents import GpuView, LeaseView, LockView, OwnerView, RequestView, StatusDocument

OWNER = OwnerView(pid=4711, uid=1000, user="alice", command="python train.py", container="")
LEASE = LeaseView(kind="local", state="held", ttl=None, age=None, why="", fault="", failures={})


def gpu(index: int, **changes: object) -> GpuView:
    view = GpuView(
        index=index,
        uuid=f"GPU-{index}",
        name="Simulated",
        parent=None,
        memory_total=1 << 34,
        memory_used=None,
        utilization=None,
        state="free",
        lock=None,
        blocked=[],
        drained=None,
        fault=None,
        elsewhere=None,
        clear_by="driver",
        quarantine=None,
        processes=None,
    )
    return GpuView(**{**view, **changes})  # type: ignore[typeddict-item]


def in_quarantine(index: int) -> GpuView:
    quarantine = {"since": 3.0, "lock": "L1-1", "holder": OWNER, "reason": "died", "awaited": False, "culprits": []}
    return gpu(index, state="quarantined", quarantine=quarantine)


def request(position: int, waited: float) -> RequestView:
    return RequestView(
        id=f"R1-{position}",
        position=position,
        count=1,
        selectors=[],
        owner=OWNER,
        task="ocr",
        priority=0,
        waited=waited,
        time_left=None,
        overtaken=0,
    )


def lock(name: str, **changes: object) -> LockView:
    view = LockView(
        id=name,
        token=1 << 32,
        gpus=["GPU-0"],
        owner=OWNER,
        task="ocr",
        profile="",
        labels={},
        priority=0,
        state="held",
        waited=0.5,
        held_for=90.0,
        time_left=3510.5,
        connected=True,
        recall=None,
        level="",
        stalled=False,
        progress=None,
        note="",
        beat_age=None,
    )
    return LockView(**{**view, **changes})  # type: ignore[typeddict-item]


def status(
    *gpus: GpuView,
    queue: list[RequestView] | None = None,
    locks: list[LockView] | None = None,
    lease: LeaseView = LEASE,
    journal: str = "ok",
) -> StatusDocument:
    return StatusDocument(
        schema_version=1,
        host="athena",
        daemon={
            "pid": 1,
            "version": "1.2.3",
            "uptime": 5.0,
            "simulated": True,
            "driver": "simulated",
            "socket": "/run/gpulockd/gpulockd.sock",
            "sessions": 0,
            "journal": journal,
            "monitor": "active",
        },
        lease=lease,
        gpus=list(gpus),
        locks=locks or [],
        queue=queue or [],
    )
