"""Measures cell after cell in interleaved rounds: yardstick first, on a machine that others leave alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bench.cells import Absences, Cell, Plan, Sample, Work
from bench.placement import placed
from bench.quiet import Patience, undisturbed
from bench.stage import Stage
from bench.yardstick import yardstick

Show = Callable[[Work, Cell, int, int], None]
"""Told before each measurement: what is measured, and how many of this work's are done, of how many."""


def measure(works: Sequence[Work], plan: Plan, absences: Absences, show: Show) -> list[Sample]:
    samples: list[Sample] = []
    for work in works:
        with Stage(work.gpus) as stage:
            cells = list(work.cells(stage, plan, absences))
            turns = [(number, cell) for number in range(plan.rounds) for cell in _rotated(cells, number)]
            turns = [(number, cell) for number, cell in turns if cell.rounds is None or number < cell.rounds]
            for done, (number, cell) in enumerate(turns):
                show(work, cell, done, len(turns))
                if (sample := _measured(work, cell, number, stage, plan, absences)) is not None:
                    samples.append(sample)
    return samples


def _rotated(cells: Sequence[Cell], by: int) -> list[Cell]:
    """Nobody is always measured right after the same other one."""
    at = by % len(cells) if cells else 0
    return [*cells[at:], *cells[:at]]


def _measured(work: Work, cell: Cell, number: int, stage: Stage, plan: Plan, absences: Absences) -> Sample | None:
    """None where it failed, which is noted: the others are to be measured all the same."""
    try:
        with placed(cell.placement, stage.pids):
            unit = yardstick(plan.yardstick)
            measured = undisturbed(cell.measure, Patience(plan.patience, plan.tries))
    except Exception as error:  # noqa: BLE001  # of whatever kind: a peer's fault ends nobody else's measurement
        what = f"{cell.contender}: {work.name}, {cell.case}, {cell.placement}"
        absences.note(what, f"{type(error).__name__}: {error}")
        return None
    return Sample(work.name, cell.case, cell.placement, cell.contender, number, unit, measured.noise, measured.result)
