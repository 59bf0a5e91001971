"""History as it is read: by whoever asks, in whatever thread, while the daemon goes on writing.

Each question has a connection to itself, so that no commit waits for one that looks through all there is, and sees the
tables together with the turns that are not entered yet. Which those are, the tables say themselves: some may be entered
while the question is asked.
"""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from ..history import WITH_ITS_HOLDER, Ended, Sought, Total, Unmet
from .database import connect
from .entries import ENDED, UNMET, Entry
from .rows import HISTORY_COLUMNS, UNMET_COLUMNS, ended_from, read_ended, unmet_from

GPU = "instr(gpus, json_quote(?)) > 0"
LOST = f"how NOT IN {WITH_ITS_HOLDER}"
TOTALS_OF_LOCKS = (
    "SELECT user, task, count(*), sum(held), sum(held * json_array_length(gpus)), sum(waited), sum(watched), "
    f"sum(idle), max(peak_memory), sum({LOST}) FROM history WHERE {{}} GROUP BY user, task "
    "ORDER BY 5 DESC LIMIT 1000"
)
TOTALS_OF_REQUESTS = (
    "SELECT user, task, sum(times), sum(CASE how WHEN 'timeout' THEN times ELSE 0 END) FROM unmet WHERE {} "
    "GROUP BY user, task ORDER BY 3 DESC LIMIT 1000"
)


Turn = tuple[int, Sequence[Entry]]
"""Its number, and what it recorded."""


class Bounds(NamedTuple):
    """What is kept: so many locks and as many requests that ended without one, and none older than that."""

    age: float
    """Seconds."""
    rows: int


class Past:
    """All methods raise `sqlite3.DatabaseError`, and may be called in any thread."""

    def __init__(
        self, file: Path, bounds: Bounds, wall: Callable[[], float], pending: Callable[[], Sequence[Turn]]
    ) -> None:
        """`pending`: the turns that may not be in the tables yet, in order; called in the thread of whoever asks."""
        self._file = file
        self._bounds = bounds
        self._wall = wall
        self._pending = pending
        self._idle: list[sqlite3.Connection] = []
        self._closed = False

    def locks(self, limit: int, sought: Sought) -> list[Ended]:
        """The latest first."""
        sought = self._within_bounds(sought)
        with self._moment() as (db, turns):
            pending = (ended for ended in map(ended_from, _values(turns, ENDED, 3)) if _is_lock(ended, sought))
            latest = list(itertools.islice(pending, max(limit, 0)))
            entered = _select(db, "history", HISTORY_COLUMNS, sought, limit - len(latest))
            return [*latest, *map(read_ended, entered)]

    def requests(self, limit: int, sought: Sought) -> list[Unmet]:
        """The latest first."""
        if sought.gpu is not None:
            return []
        sought = self._within_bounds(sought)
        with self._moment() as (db, turns):
            pending = (unmet for unmet in map(unmet_from, _values(turns, UNMET, 2)) if _is_request(unmet, sought))
            latest = list(itertools.islice(pending, max(limit, 0)))
            entered = _select(db, "unmet", UNMET_COLUMNS, sought, limit - len(latest))
            return [*latest, *map(unmet_from, entered)]

    def totals(self, sought: Sought) -> list[Total]:
        """Whoever had the GPUs for longest first. Of more than a thousand those are left out who had and asked for
        least: clients can name as many tasks as they like."""
        sought = self._within_bounds(sought)
        totals: dict[tuple[str, str], Total] = {}

        def total(user: str, task: str) -> Total:
            return totals.setdefault((user, task), Total(user, task))

        with self._moment() as (db, turns):
            where, values = _conditions(sought)
            for user, task, *sums in db.execute(TOTALS_OF_LOCKS.format(where), values):
                _add(total(user, task), *sums)
            for ended in map(ended_from, _values(turns, ENDED, 3)):
                if _is_lock(ended, sought):
                    _add(total(ended.user, ended.task), *_sums(ended))
            if sought.gpu is None:
                for user, task, times, timeouts in db.execute(TOTALS_OF_REQUESTS.format(where), values):
                    _add_unmet(total(user, task), times, timeouts)
                for unmet in map(unmet_from, _values(turns, UNMET, 2)):
                    if _is_request(unmet, sought):
                        _add_unmet(total(unmet.user, unmet.task), unmet.times, unmet.times * (unmet.how == "timeout"))
        return sorted(totals.values(), key=lambda each: (-each.gpu_time, -each.unmet, each.user, each.task))

    def close(self) -> None:
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    def _within_bounds(self, sought: Sought) -> Sought:
        """What is too old and not deleted yet is not shown."""
        oldest = self._wall() - self._bounds.age
        return sought if sought.since is not None and sought.since >= oldest else replace(sought, since=oldest)

    @contextlib.contextmanager
    def _moment(self) -> Iterator[tuple[sqlite3.Connection, Sequence[Turn]]]:
        """A connection to which nothing changes meanwhile, and the turns that it does not have."""
        turns = self._pending()  # before the look at the tables: what is entered in between is there
        try:
            db = self._idle.pop()
        except IndexError:
            db = connect(self._file)
        try:
            db.execute("BEGIN")
            (entered,) = db.execute("SELECT turn FROM meta").fetchone()
            yield db, [turn for turn in turns if turn[0] > entered]
        finally:
            db.rollback()
            self._idle.append(db)
            if self._closed:
                self.close()


def _values(turns: Sequence[Turn], kind: int, place: int) -> Iterator[Sequence[Any]]:
    """The values at `place` of the entries of that kind, the latest first."""
    for _, entries in reversed(turns):
        for entry in reversed(entries):
            if entry[0] == kind:
                yield entry[place]


def _select(
    db: sqlite3.Connection, table: str, columns: Sequence[str], sought: Sought, limit: int
) -> list[Sequence[Any]]:
    where, values = _conditions(sought)
    statement = f"SELECT {', '.join(columns)} FROM {table} WHERE {where} ORDER BY number DESC LIMIT ?"
    return db.execute(statement, (*values, max(limit, 0))).fetchall()


def _conditions(sought: Sought) -> tuple[str, list[str | float]]:
    conditions = {
        GPU: sought.gpu,
        "user = ?": sought.user,
        "task = ?": sought.task,
        "how = ?": sought.how,
        "ended_at >= ?": sought.since,
        "ended_at < ?": sought.until,
    }
    given = {condition: value for condition, value in conditions.items() if value is not None}
    return " AND ".join(given) or "1", list(given.values())


def _is_lock(ended: Ended, sought: Sought) -> bool:
    return (sought.gpu is None or sought.gpu in ended.gpus) and _is_request(ended, sought)


def _is_request(past: Ended | Unmet, sought: Sought) -> bool:
    return (
        sought.user in (None, past.user)
        and sought.task in (None, past.task)
        and sought.how in (None, past.how)
        and (sought.since is None or past.ended_at >= sought.since)
        and (sought.until is None or past.ended_at < sought.until)
    )


def _sums(ended: Ended) -> tuple[Any, ...]:
    """As `TOTALS_OF_LOCKS` has them, of one lock."""
    gpu_time, lost = ended.held * len(ended.gpus), ended.how not in WITH_ITS_HOLDER
    return (1, ended.held, gpu_time, ended.waited, ended.watched, ended.idle, ended.peak_memory, lost)


def _add(
    total: Total,
    locks: int,
    held: float,
    gpu_time: float,
    waited: float,
    watched: float,
    idle: float,
    peak_memory: int | None,
    lost: int,
) -> None:
    total.locks += locks
    total.held += held
    total.gpu_time += gpu_time
    total.waited += waited
    total.watched += watched
    total.idle += idle
    total.lost += lost
    if peak_memory is not None:
        total.peak_memory = max(peak_memory, total.peak_memory or 0)


def _add_unmet(total: Total, times: int, timeouts: int) -> None:
    total.unmet += times
    total.timeouts += timeouts
