"""One interleaved run: in every round each variant does the same tasks once, in an order that chance gives."""

from __future__ import annotations

import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from .crew import Crew, OutOfTime
from .outcomes import Block, Load, full_scale
from .plan import LEAST_ROUNDS, Plan
from .servers import Daemon, OwnRedis, Redis
from .tasks import deal
from .variants import Variant

_IDLE = 2.0
"""Seconds for which Redis is looked at before anything happens."""
_MARGIN = 1.1
"""A round counts as this many times the longest so far, when it is asked whether another one fits."""


class Watching(Protocol):
    """What is told how far the run is."""

    def block(self, number: int, variant: str, tasks: int) -> None: ...

    def task(self) -> None: ...


class TooShort(Exception):
    """The time was over before there was anything to compare."""


@dataclass(frozen=True, slots=True)
class Run:
    blocks: Sequence[Block]
    """Of whole rounds only, at full scale."""
    rounds: int
    redis: str
    """Its version; empty where there was none."""
    shared: bool
    """Whether others may have used that Redis."""
    took: float


@contextmanager
def redis_of(url: str | None, program: str | None, directory: Path) -> Iterator[Redis | None]:
    """The Redis at `url`, else a server of `program`, else none. Raises `ServerFailed`."""
    with ExitStack() as stack:
        if url is None and program is None:
            yield None
            return
        if url is None and program is not None:
            own = OwnRedis(program, directory)
            stack.callback(own.stop)
            url = own.url
        assert url is not None
        redis = Redis(url, f"gpulockd-bench-{secrets.token_hex(4)}", shared=program is None)
        stack.callback(redis.close)
        yield redis


@contextmanager
def workplace() -> Iterator[Path]:
    """A directory with a short name, since sockets lie in it."""
    directory = Path(tempfile.mkdtemp(prefix="gpulockd-bench-"))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


class Runner:
    """Runs a plan. Whatever ends it, nothing that it started is left: no process, no file, no key in Redis."""

    def __init__(self, plan: Plan, redis: Redis | None, directory: Path, watching: Watching) -> None:
        self._plan, self._redis, self._directory, self._watching = plan, redis, directory, watching

    def run(self) -> Run:
        """Raises `TooShort`, `ServerFailed` and `WorkerFailed`."""
        began = time.monotonic()
        idle = self._redis.idle_cpu(min(_IDLE, self._plan.duration / 20)) if self._redis else 0.0
        with Crew(self._plan.workers, self._directory / "workers.log") as crew:
            blocks, rounds = self._rounds(crew, began + self._plan.duration, idle)
        version, shared = (self._redis.version, self._redis.shared) if self._redis else ("", False)
        return Run(blocks, rounds, version, shared, time.monotonic() - began)

    def _rounds(self, crew: Crew, deadline: float, idle: float) -> tuple[list[Block], int]:
        """As many as fit, and how many these are."""
        blocks: list[Block] = []
        rounds, longest = 0, 0.0
        while rounds < (self._plan.rounds or rounds + 1):
            started = time.monotonic()
            if rounds >= LEAST_ROUNDS and started + _MARGIN * longest > deadline:
                break
            try:
                blocks += [self._block(crew, rounds, variant, deadline, idle) for variant in self._plan.order(rounds)]
            except OutOfTime:
                break
            longest = max(longest, time.monotonic() - started)
            rounds += 1
        if rounds < min(LEAST_ROUNDS, self._plan.rounds or LEAST_ROUNDS):
            one = f"one took {longest:.0f} s" if rounds else "not one was done"
            raise TooShort(f"{self._plan.duration:.0f} s are too short for {LEAST_ROUNDS} rounds: {one}")
        return blocks, rounds

    def _block(self, crew: Crew, number: int, variant: Variant, deadline: float, idle: float) -> Block:
        plan = self._plan
        tasks = deal(
            plan.mix,
            plan.workers,
            plan.tasks_each,
            pause=plan.mean_pause,
            scale=plan.scale,
            seed=f"{plan.seed}/{number}",
            hold=None if plan.mix else plan.hold,
        )
        if time.monotonic() > deadline:
            raise OutOfTime
        loads: list[Load] = []
        with ExitStack() as stack:
            crew.prepare(tasks, self._prepared(number, variant, stack))
            self._watching.block(number, variant.name, plan.workers * plan.tasks_each)
            if self._redis:
                stack.enter_context(self._redis.measured(loads))
            took, outcomes = crew.run(deadline, self._watching.task)
        block = Block(variant.name, number, took, outcomes, loads[0] if loads else None)
        return full_scale(block, variant.way, plan.scale, idle)

    def _prepared(self, number: int, variant: Variant, stack: ExitStack) -> dict[str, Any]:
        """Starts what the variant needs; returns what workers are told."""
        plan, settings = self._plan, variant.effective(self._plan.scale)
        order: dict[str, Any] = {"way": variant.way, "command": plan.command}
        if variant.way == "daemon":
            place = self._directory / f"{number}-{variant.name}"
            daemon = stack.enter_context(Daemon(place, plan.gpus, settings, self._redis))
            return {**order, "socket": daemon.socket}
        assert self._redis is not None, "polling without Redis is left out before"
        self._redis.clear()
        return {**order, "redis": self._redis.url, "keys": self._redis.keys(plan.gpus), "settings": settings}
