"""One worker process, as anybody would write it: asks for GPUs, works while it holds them, keeps a diary.

    DEMO_DIARIES=/tmp python -m demo.worker ocr-2 --gpus 1 --hold 1.5

Its task is the first word of its name. SIGTERM lets it finish what it is at.
"""

from __future__ import annotations

import argparse
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import gpulock

from .diary import Diary, now

PATIENCE = 15.0
"""Seconds for which a worker waits for a daemon that is away, to ask whether its lock is still its own."""
CHEAT_TOKENS = 10**6


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker does again and again."""

    task: str
    gpus: int | list[str] = 1
    """How many, or which."""
    hold: float = 1.0
    wait: float = 60.0
    expect: str = "granted"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("--gpus", type=int, default=1)
    parser.add_argument("--only", help="this GPU and no other")
    parser.add_argument("--hold", type=float, default=1.0)
    parser.add_argument("--wait", type=float, default=60.0)
    parser.add_argument("--expect", default="granted")
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--cheat", action="store_true", help="works without a lock, as if it had one")
    options = parser.parse_args(arguments)
    job = Job(
        options.name.partition("-")[0],
        options.gpus if options.only is None else [options.only],
        options.hold,
        options.wait,
        options.expect,
    )
    stopping = Stop()
    diary = Diary(Path(os.environ["DEMO_DIARIES"]), options.name)
    for number in range(options.jobs):
        if stopping.asked:
            break
        if options.cheat:
            cheat(diary, job, CHEAT_TOKENS + number)
        else:
            work(diary, job)
    diary.write("done")


class Stop:
    """Whether SIGTERM has come."""

    def __init__(self) -> None:
        self.asked = False
        signal.signal(signal.SIGTERM, self._ask)

    def _ask(self, *_: object) -> None:
        self.asked = True


def work(diary: Diary, job: Job) -> None:
    """One job under a lock."""
    diary.write("want", task=job.task, gpus=job.gpus, wait=job.wait, expect=job.expect)
    try:
        lock = gpulock.acquire(job.gpus, task=job.task, wait_timeout=job.wait, unavailable_timeout=PATIENCE)
    except gpulock.GpulockError as error:
        diary.write("refused", code=error.wire_code, why=error.message)
        return
    diary.write("got", lock=lock.id, token=lock.token, gpus=[gpu.index for gpu in lock.gpus])
    time.sleep(job.hold)
    away = not confirm(diary, lock)
    diary.write("leaving", token=lock.token, lost=lock.lost_reason, away=away)
    lock.release()
    diary.write("left", token=lock.token)


def confirm(diary: Diary, lock: gpulock.Lock) -> bool:
    """Asks the daemon whether the lock is still this worker's; False: there was none to ask."""
    until = now() + PATIENCE
    while now() < until:
        asked = now()
        try:
            lock.beat(progress=1.0)
        except gpulock.DaemonUnavailable:
            time.sleep(0.05)
        except gpulock.GpulockError as error:
            diary.write("denied", token=lock.token, why=str(error))
            return True
        else:
            diary.write("kept", token=lock.token, asked=asked)
            return True
    return False


def cheat(diary: Diary, job: Job, token: int) -> None:
    """The same on GPU 0, without asking anybody: what a verdict is there to find."""
    diary.write("want", task=job.task, gpus=1, wait=0.0, expect="granted")
    diary.write("got", lock="none", token=token, gpus=[0])
    time.sleep(job.hold)
    diary.write("leaving", token=token, lost=None, away=False)
    diary.write("left", token=token)


if __name__ == "__main__":
    main()
