"""Locks and quarantines to write down."""

from __future__ import annotations

from dataclasses import replace

from gpulockd.core.model import (
    COUNTER_BITS,
    GpuProcess,
    Lock,
    LockState,
    Owner,
    Process,
    Quarantine,
    Recall,
    Request,
    Usage,
    Wish,
)
from tests.support.clock import BOOT

NEXT_BOOT = "0c5b5f57-90a0-4a0c-a9c4-1d8f8d8d7c22"
EPOCH = 3


def token(number: int, epoch: int = EPOCH) -> int:
    return (epoch << COUNTER_BITS) + number


def owner(pid: int = 4242, boot_id: str = BOOT) -> Owner:
    return Owner(
        process=Process(pid, 987654, boot_id),
        uid=1000,
        gid=100,
        user="ada",
        command="python train.py --epochs 10",
        container="docker:3f4c0e6d1b2a",
    )


def lock(number: int = 1, *gpus: str, task: str = "ocr", pid: int = 4242, epoch: int = EPOCH) -> Lock:
    """Granted to ada at 990 s after 10 s in the queue, for an hour."""
    return Lock(
        id=f"L{epoch}-{number}",
        token=token(number, epoch),
        gpus=gpus or (f"GPU-{number}",),
        owner=owner(pid),
        session=None,
        reattach="ab" * 32,
        wish=Wish(count=max(len(gpus), 1), task=task, max_hold=3600.0, labels={"job": "17"}),
        queued_at=980.0,
        granted_at=990.0,
        ends_at=4590.0,
    )


def recalled(number: int) -> Lock:
    """One whose every field is other than its default."""
    taken = lock(number)
    taken.wish = Wish(
        count=2,
        selectors=("0", "GPU-b"),
        wait_timeout=60.0,
        max_hold=120.0,
        priority=-3,
        task="transcribe",
        profile="night",
        labels={"größe": "XL"},
        within="L2-9",
        notify=frozenset({"lost", "queued"}),
    )
    taken.state = LockState.TERMINATING
    taken.recall = Recall("revoked", "root", "maintenance", 995.0, 1005.0, kill_grace=5.0, obstacle="not permitted")
    taken.depth, taken.beat_at, taken.progress, taken.note = 2, 994.5, 0.25, "page 7"
    return taken


def watched(number: int = 1) -> Lock:
    """A lock whose GPU was looked at: busy for half of the time, and shared with a stranger."""
    seen = lock(number)
    seen.usage = Usage(1000.0, 10.0, 5.0, 3 << 30, (GpuProcess(666, 1 << 20, "eve", "python miner.py"),))
    return seen


def confined(number: int = 1) -> Lock:
    """A lock whose holder had a control group for itself."""
    made = lock(number)
    made.owner = replace(made.owner, cgroup=":/system.slice/docker-3f4c0e6d1b2a.scope")
    return made


def request(number: int = 1, task: str = "ocr", queued_at: float = 985.0) -> Request:
    """Waits, for ada, for two GPUs; overtaken once, and as a journal gives it back."""
    return Request(
        id=f"R{EPOCH}-{number}",
        session=0,
        msgid=0,
        owner=owner(),
        wish=Wish(count=2, task=task, wait_timeout=1800.0, labels={"job": "18"}, notify=frozenset({"queued"})),
        candidates=frozenset(),
        queued_at=queued_at,
        rank=(queued_at - 300.0, number),
        overtaken=1,
        reattach="cd" * 32,
        recorded=True,
    )


def quarantine(lock_id: str = "L3-1") -> Quarantine:
    return Quarantine(
        since=999.0,
        lock=lock_id,
        holder=owner(),
        reason="processes of its last holder are still on it",
        culprits=(GpuProcess(4243, 1 << 30, "ada", "python worker.py", ""), GpuProcess(4244, None)),
    )
