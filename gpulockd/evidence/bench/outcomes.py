"""What was measured: tasks, blocks of them, and the figures of a variant. Pure.

Every time here is as it would be at full scale: what a run at a tenth of the time measured counts tenfold. Traffic is
taken with it: what polling sends belongs to the tasks, and comes as much more slowly at full scale; what a daemon sends
to Redis, and what Redis does by itself, belongs to the clock, and does not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ..statistics import Estimate, Portion, quantile, ratio, share
from .variants import Way

How: TypeAlias = Literal["done", "timeout", "failed"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """One task. Times are seconds."""

    kind: str
    how: How
    waited: float
    """For the lock, until it was granted or given up."""
    total: float
    """From the moment at which it wanted the GPU until it was done."""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Load:
    """What Redis bore during a block."""

    requests: float
    """What clients sent: a script is one of them."""
    commands: float
    """The same with what scripts called counted one by one, as Redis itself counts."""
    cpu: float
    """Seconds of its process, user and system."""


@dataclass(frozen=True, slots=True)
class Block:
    """The tasks of all workers, done once with one variant."""

    variant: str
    round: int
    took: float
    """From the start of the workers to the end of the last task."""
    outcomes: Sequence[Outcome]
    load: Load | None
    """None: no Redis."""


def full_scale(block: Block, way: Way, scale: float, idle_cpu: float) -> Block:
    """A block that was run with all times multiplied by `scale`, as it would have been without.

    `idle_cpu` is what Redis uses by itself, in seconds per second.
    """
    outcomes = [
        Outcome(each.kind, each.how, each.waited / scale, each.total / scale, each.why) for each in block.outcomes
    ]
    load = block.load
    if load and way == "polling":
        cpu = max(0.0, load.cpu - idle_cpu * block.took) + idle_cpu * block.took / scale
        load = Load(load.requests, load.commands, cpu)
    elif load:
        load = Load(load.requests / scale, load.commands / scale, load.cpu / scale)
    return Block(block.variant, block.round, block.took / scale, outcomes, load)


@dataclass(frozen=True, slots=True)
class Figures:
    """A variant over all rounds. Without Redis there are no figures of it."""

    tasks: int
    wait: Estimate | None
    """Mean, in seconds; the wait of those who gave up counts too."""
    wait_p50: float
    wait_p95: float
    longest_wait: float
    total: Estimate | None
    per_hour: Estimate | None
    """Tasks done."""
    success: Estimate
    timeouts: Estimate
    requests: Estimate | None
    """To Redis, per second."""
    commands: Estimate | None
    """Of Redis, per second."""
    cpu: Estimate | None
    """Of Redis, seconds per second."""


def figures_of(blocks: Sequence[Block]) -> Figures:
    outcomes = [outcome for block in blocks for outcome in block.outcomes]
    waits = [outcome.waited for outcome in outcomes] or [0.0]
    return Figures(
        tasks=len(outcomes),
        wait=_mean(blocks, _waited),
        wait_p50=quantile(waits, 0.5),
        wait_p95=quantile(waits, 0.95),
        longest_wait=max(waits),
        total=_mean(blocks, _total),
        per_hour=ratio([Portion(_done(block) * 3600, block.took) for block in blocks]),
        success=share(sum(each.how == "done" for each in outcomes), len(outcomes)),
        timeouts=share(sum(each.how == "timeout" for each in outcomes), len(outcomes)),
        requests=_rate(blocks, _requests),
        commands=_rate(blocks, _commands),
        cpu=_rate(blocks, _cpu),
    )


Measure: TypeAlias = Callable[[Block], float]


def wait_of(block: Block) -> float:
    """The mean wait of a block's tasks."""
    return _waited(block) / max(1, len(block.outcomes))


def requests_of(block: Block) -> float:
    return _requests(block) / block.took


def cpu_of(block: Block) -> float:
    return _cpu(block) / block.took


def against(ours: Sequence[Block], theirs: Sequence[Block], measure: Measure) -> Estimate | None:
    """How many times theirs ours is, over the rounds that both were in; None where theirs is nothing.

    Within a round both had the same tasks, and the machine was much the same.
    """
    other: Mapping[int, Block] = {block.round: block for block in theirs}
    pairs = [(block, other[block.round]) for block in ours if block.round in other]
    return ratio([Portion(measure(block), measure(base)) for block, base in pairs])


def _mean(blocks: Sequence[Block], total: Measure) -> Estimate | None:
    return ratio([Portion(total(block), len(block.outcomes)) for block in blocks])


def _rate(blocks: Sequence[Block], total: Measure) -> Estimate | None:
    known = [block for block in blocks if block.load]
    return ratio([Portion(total(block), block.took) for block in known]) if known else None


def _waited(block: Block) -> float:
    return sum(outcome.waited for outcome in block.outcomes)


def _total(block: Block) -> float:
    return sum(outcome.total for outcome in block.outcomes)


def _done(block: Block) -> int:
    return sum(outcome.how == "done" for outcome in block.outcomes)


def _requests(block: Block) -> float:
    return block.load.requests if block.load else 0.0


def _commands(block: Block) -> float:
    return block.load.commands if block.load else 0.0


def _cpu(block: Block) -> float:
    return block.load.cpu if block.load else 0.0
