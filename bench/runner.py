"""Measures cell after cell in interleaved rounds: yardstick first, on a machine that others leave alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from bench.cells import Absences, Cell, Metrics, Plan, Sample, Work
from bench.placement import placed
from bench.quiet import Patience, undisturbed
from bench.stage import Stage
from bench.yardstick import yardstick
from gpulockd.evidence.bench.processes import ServerFailed
from gpulockd.evidence.bench.programs import Missing

_WAIT, _TRIES = 60.0, 4

Show = Callable[[Work, Cell, int, int], None]
"""Told before each measurement: what is measured, and how many of this work's are done, of how many."""


class Runner:
    """Goes through works; what fails is noted in `absences`, and the others are measured all the same."""

    def __init__(self, plan: Plan, absences: Absences, show: Show) -> None:
        self._plan, self._absences, self._show = plan, absences, show
        self._patience = Patience(plan.patience, _WAIT, _TRIES)

    def measure(self, works: Sequence[Work]) -> list[Sample]:
        return [sample for work in works for sample in self._samples(work)]

    def _samples(self, work: Work) -> Iterator[Sample]:
        with Stage(work.gpus) as stage:
            try:
                cells = list(work.cells(stage, self._plan, self._absences))
            except (Missing, ServerFailed) as error:
                self._absences.note(work.title, error)
                return
            turns = [(number, cell) for number in range(self._plan.rounds) for cell in rotated(cells, number)]
            turns = [(number, cell) for number, cell in turns if cell.rounds is None or number < cell.rounds]
            for done, (number, cell) in enumerate(turns):
                self._show(work, cell, done, len(turns))
                if (sample := self._sample(work, cell, number, stage)) is not None:
                    yield sample

    def _sample(self, work: Work, cell: Cell, number: int, stage: Stage) -> Sample | None:
        def measure() -> tuple[float, Metrics]:
            return yardstick(self._plan.yardstick), cell.measure()

        try:
            stage.clear()
            with placed(cell.placement, stage.pids):
                measured = undisturbed(measure, self._patience)
        except Exception as error:  # noqa: BLE001  # of whatever kind: one's fault ends nobody else's measurement
            what = f"{cell.contender}: {work.name}, {cell.case}, {cell.placement}"
            self._absences.note(what, f"{type(error).__name__}: {error}")
            return None
        unit, metrics = measured.result
        return Sample(work.name, cell.case, cell.placement, cell.contender, number, unit, measured.noise, metrics)


def rotated(cells: Sequence[Cell], by: int) -> list[Cell]:
    """Nobody is always measured right after the same other one."""
    at = by % len(cells) if cells else 0
    return [*cells[at:], *cells[:at]]
