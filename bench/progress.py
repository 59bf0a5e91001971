"""How far a run has come."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress as Bar, TextColumn, TimeElapsedColumn

from bench.cells import Cell, Work


class Progress:
    """A bar on a terminal, and a line for each work elsewhere. It has no thread: this process forks."""

    def __init__(self, console: Console, works: Sequence[Work]) -> None:
        self._console = console
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._bar = Bar(*columns, console=console, auto_refresh=False, disable=not console.is_terminal)
        self._tasks = {work.name: self._bar.add_task(work.title, total=1, start=False) for work in works}
        self._work: Work | None = None

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._finish()
        self._bar.stop()

    def show(self, work: Work, cell: Cell, done: int, total: int) -> None:
        if work is not self._work:
            self._finish()
            self._work = work
            self._bar.start_task(self._tasks[work.name])
            if not self._console.is_terminal:
                self._console.print(f"{work.title}: {total} measurements")
        what = f"{work.title}: {cell.contender}, {cell.case}"
        self._bar.update(self._tasks[work.name], description=what, completed=done, total=total)
        self._bar.refresh()

    def _finish(self) -> None:
        if self._work is not None:
            task = self._bar.tasks[self._tasks[self._work.name]]
            self._bar.update(task.id, description=self._work.title, completed=task.total or 0)
