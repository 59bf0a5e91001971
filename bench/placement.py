"""Where client and server run: wherever the scheduler puts them, or together on one core."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from typing import Literal, TypeAlias

import psutil

Placement: TypeAlias = Literal["free", "one core"]

_ALL = frozenset(os.sched_getaffinity(0))


def cpus(placement: Placement) -> frozenset[int]:
    """One core shows the cost of the software alone; free adds what it costs to wake another core."""
    return _ALL if placement == "free" else frozenset({min(_ALL)})


def others() -> frozenset[int]:
    """Every core but the one of `one core`; that one too where there is no other."""
    return _ALL - cpus("one core") or _ALL


@contextlib.contextmanager
def placed(placement: Placement, servers: Iterable[int] = ()) -> Iterator[None]:
    """This process, what it forks meanwhile, and the `servers` run there; afterwards anywhere."""
    pids = list(servers)
    move([os.getpid(), *pids], cpus(placement))
    try:
        yield
    finally:
        move([os.getpid(), *pids], _ALL)


def move(pids: Iterable[int], where: frozenset[int]) -> None:
    """All threads of these processes, and of their children."""
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            family = [process] if pid == os.getpid() else [process, *process.children(recursive=True)]
            for member in family:
                for thread in member.threads():
                    with contextlib.suppress(ProcessLookupError):
                        os.sched_setaffinity(thread.id, where)
