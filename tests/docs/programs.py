"""Runs the Python of a document as its readers would: each block by itself, as a program of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.support.daemon import Daemon
from tests.support.waiting import wait_until

from .markdown import Block

LIMIT = 60.0
"""Seconds, far above what any of them takes."""


def run(block: Block, daemon: Daemon, directory: Path, *, before: str = "", after: str = "") -> str:
    """Runs the block, between what stands for the reader's own code; returns what it printed.

    A warning is an error. Asserts that it ended well, said nothing on standard error, and holds nothing any more.
    """
    file = directory / "program.py"
    file.write_text(f"{before}\n{block.content}\n{after}\n")
    done = subprocess.run(
        [sys.executable, "-W", "error", str(file)],
        env={**os.environ, "GPULOCK_SOCKET": daemon.socket},
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), f"the block at line {block.line}: {done.stderr}"
    wait_until(lambda: daemon.status()["locks"] == [], "every lock was released")
    return done.stdout


def locks_taken(daemon: Daemon) -> list[str]:
    """The tasks of all locks that have ended."""
    return [lock["task"] for lock in daemon.call("history", limit=1000)["locks"]]
