"""SIGKILL at any instruction: what was committed is there, and no turn is there by half."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

from gpulockd.clock import BootClock
from gpulockd.core.model import COUNTER_BITS
from gpulockd.journal import SqliteJournal
from tests.support import processes

ROUNDS = 15
LOCKS_A_TURN = 3

WRITE = """
import os, sys
from dataclasses import replace
from pathlib import Path
from gpulockd.clock import BootClock
from gpulockd.core.actions import LockEnded, LockGranted
from gpulockd.core.model import COUNTER_BITS
from gpulockd.journal import SqliteJournal
from tests.journal.samples import lock

journal = SqliteJournal(Path(sys.argv[1]), BootClock())
saved = journal.load()
epoch = (saved.highest_token >> COUNTER_BITS) + 1
journal.raise_epoch(epoch)
held = list(saved.locks)
number = 0
while True:
    ended = [LockEnded(each, 1000.0, "released") for each in held]
    held = [lock(number + place, f"GPU-{place}", epoch=epoch) for place in range(1, 4)]
    number += 3
    journal.commit([*ended, *map(LockGranted, held)])
    os.write(1, b"%d\\n" % held[-1].token)
"""


def test_a_killed_writer_loses_nothing_that_it_was_told_is_written(tmp_path: Path) -> None:
    moments = random.Random(20)
    epochs = set()
    for _ in range(ROUNDS):
        writer = processes.start(
            [sys.executable, "-c", WRITE, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert writer.stdout is not None
        assert writer.stderr is not None
        first = writer.stdout.readline()
        assert first, writer.stderr.read()
        # The moment is random, and reading goes on so that the writer never waits for the pipe.
        end = threading.Timer(moments.uniform(0.0, 0.15), writer.kill)
        end.start()
        told = [int(line) for line in (first + writer.stdout.read()).splitlines()]
        processes.end(writer)
        end.join()

        with closing(SqliteJournal(tmp_path, BootClock())) as journal:
            saved = journal.load()
        tokens = [lock.token for lock in saved.locks]

        assert saved.highest_token >= told[-1]
        assert saved.highest_token <= told[-1] + LOCKS_A_TURN, "one turn may be written and not told"
        assert tokens == list(range(saved.highest_token - LOCKS_A_TURN + 1, saved.highest_token + 1))
        assert [lock.gpus for lock in saved.locks] == [("GPU-1",), ("GPU-2",), ("GPU-3",)]
        epochs.add(saved.highest_token >> COUNTER_BITS)

    assert len(epochs) == ROUNDS
