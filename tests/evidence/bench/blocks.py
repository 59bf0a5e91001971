"""Blocks as a run would have measured them."""

from __future__ import annotations

from collections.abc import Sequence

from gpulockd.evidence.bench.outcomes import Block, How, Load, Outcome
from gpulockd.evidence.bench.plan import Plan
from gpulockd.evidence.bench.report import Report
from gpulockd.evidence.bench.running import Run
from gpulockd.evidence.bench.surroundings import Surroundings
from gpulockd.evidence.bench.variants import parse_variant

WOBBLE = (0.97, 1.01, 0.99, 1.03, 1.0)
"""By what the rounds differ."""


def rounds(
    variant: str, wait: float, *, requests: float = 10.0, cpu: float = 0.01, timeouts: int = 0, redis: bool = True
) -> list[Block]:
    """Five of twenty tasks, each in ten seconds; `timeouts` of a block's tasks waited in vain."""

    def outcome(index: int, factor: float) -> Outcome:
        how: How = "timeout" if index < timeouts else "done"
        return Outcome("short", how, wait * factor, wait * factor + 2.5)

    return [
        Block(
            variant,
            number,
            10.0,
            [outcome(index, factor) for index in range(20)],
            Load(requests * factor, 2 * requests * factor, cpu * factor) if redis else None,
        )
        for number, factor in enumerate(WOBBLE)
    ]


def report(*variants: Sequence[Block], left_out: Sequence[str] = ()) -> Report:
    """The first is the baseline."""
    names = [blocks[0].variant for blocks in variants]
    plan = Plan(
        variants=[parse_variant(name) for name in names],
        baseline=names[0],
        mix={"short": 1.0},
        workers=4,
        gpus=1,
        load=0.8,
        scale=0.05,
        duration=60,
        seed=1,
    )
    blocks = [block for each in variants for block in each]
    run = Run(blocks, len(WOBBLE), redis="9.1" if blocks[0].load else "", shared=False, took=55.0)
    return Report(plan, run, Surroundings("gpulockctl bench", "2026-11-28", "0.1.0", "2 cores", 0.1), left_out)
