"""Every work, in the order in which it is done and shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.cells import Work
from bench.works import (
    commands,
    crash,
    fleet,
    grants,
    handover,
    idle,
    onlookers,
    pipelining,
    startup,
    together,
    uncontended,
)

WORKS: Sequence[Work] = (
    uncontended.WORK,
    handover.WORK,
    together.WORK,
    commands.WORK,
    crash.WORK,
    idle.WORK,
    grants.WORK,
    pipelining.WORK,
    onlookers.WORK,
    fleet.WORK,
    startup.WORK,
)
BY_NAME: Mapping[str, Work] = {work.name: work for work in WORKS}

GATE: Sequence[str] = (
    "uncontended",
    "handover",
    "together",
    "commands",
    "crash",
    "idle",
    "grants",
    "pipelining",
    "onlookers",
    "startup",
)
"""What the quick run does."""
