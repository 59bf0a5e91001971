"""Writes `vN.sqlite` and its log, N being the present schema: run it once, before a new schema is released.

    .venv/bin/python -m tests.journal.files.make

The files of older schemas stay as they are. `CONTENT` and `HISTORY` are what every one of them must load as; when a
new schema keeps more than they say, its file gets content of its own beside them.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from gpulockd.core.actions import (
    DrainSet,
    LockChanged,
    LockEnded,
    LockGranted,
    QuarantineSet,
    RequestLeft,
    RequestUnmet,
    RequestWaits,
    TenantsSeen,
)
from gpulockd.core.model import Process
from gpulockd.history import Ended, Stranger, Unmet
from gpulockd.journal import SqliteJournal
from gpulockd.journal.database import schema_steps
from gpulockd.journal.sqlite import LOG
from gpulockd.ports import Saved
from tests.journal.samples import EPOCH, confined, lock, owner, quarantine, recalled, request, token, watched
from tests.support.clock import BOOT, SetClock

CONTENT = Saved(
    locks=(lock(2, "GPU-c", "GPU-a"), recalled(3)),
    quarantines={"GPU-q": quarantine()},
    drains={"GPU-d": "fan is loud"},
    highest_token=token(4),
)
REQUESTS = (request(2), request(3, queued_at=986.0))
"""What files have from version 3 on."""
WATCHED = watched(5)
"""A lock that files have from version 5 on."""
CONFINED = confined(7)
"""A lock that files have from version 8 on."""
TENANTS = {"GPU-t": (Process(4242, 987654, BOOT), Process(4711, 99, BOOT))}
"""What files have from version 9 on, beside those who hold a lock or were the last to."""
UNMET = Unmet(
    request=f"R{EPOCH}-9",
    user="ada",
    uid=1000,
    pid=4242,
    command=owner().command,
    container=owner().container,
    task="ocr",
    profile="",
    wanted=2,
    waited=15.0,
    ended_at=SetClock().booted_at + 1000.0,
    how="timeout",
    times=1,
)
HISTORY = tuple(
    Ended(
        lock=f"L{EPOCH}-{number}",
        token=token(number),
        gpus=(f"GPU-{number}",),
        user="ada",
        uid=1000,
        pid=4242,
        command=owner().command,
        task="ocr",
        waited=10.0,
        held=10.0,
        granted_at=SetClock().booted_at + 990.0,
        ended_at=SetClock().booted_at + 1000.0,
        how="revoked",
        by="root",
    )
    for number in (4, 1)
)
HISTORY_5 = tuple(replace(ended, container=owner().container) for ended in HISTORY)
_SEEN = replace(
    HISTORY_5[0],
    lock=f"L{EPOCH}-6",
    token=token(6),
    gpus=("GPU-6",),
    how="released",
    by="",
    watched=10.0,
    idle=5.0,
    peak_memory=3 << 30,
    strangers=(Stranger(666, "eve", "python miner.py"),),
)
HISTORY_5 = (_SEEN, *HISTORY_5)
"""The same in files from version 5 on, and one more: they keep the container, and what the driver saw."""


def main() -> int:
    file = Path(__file__).with_name(f"v{len(schema_steps())}.sqlite")
    if file.exists():
        print(f"{file} is there already: files of released schemas stay as they are", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as directory:
        with closing(SqliteJournal(Path(directory), SetClock())) as journal:
            journal.raise_epoch(EPOCH)
            journal.commit(
                [
                    LockGranted(lock(1)),
                    LockGranted(lock(2, "GPU-c", "GPU-a")),
                    LockGranted(lock(3)),
                    LockEnded(lock(1), 1000.0, "revoked", "root"),
                    DrainSet("GPU-d", "fan is loud", "root"),
                    *map(RequestWaits, (request(1), REQUESTS[0])),
                ]
            )
            journal.commit(
                [
                    LockChanged(recalled(3)),
                    LockGranted(lock(4)),
                    LockEnded(lock(4), 1000.0, "revoked", "root"),
                    QuarantineSet("GPU-q", quarantine()),
                    *map(RequestWaits, REQUESTS),
                    RequestLeft(request(1).id),
                    LockGranted(WATCHED),
                    LockGranted(lock(6)),
                    LockEnded(watched(6), 1000.0, "released"),
                    RequestUnmet(request(9), 1000.0, "timeout"),
                    LockGranted(CONFINED),
                    TenantsSeen("GPU-t", {4242: 987654, 4711: 99}),
                ]
            )
            journal._try_to_enter_pending = lambda: None  # type: ignore[method-assign]  # as if it had been killed here
        shutil.copyfile(journal.file, file)
        shutil.copyfile(journal.file.with_name(LOG), f"{file}-turns")
    print(file)
    return 0


if __name__ == "__main__":
    sys.exit(main())
