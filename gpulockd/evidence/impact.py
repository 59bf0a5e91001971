"""Whether a change moved anything: recorded history before it and after it, and what may be chance. Pure.

Requests that wait in one queue depend on each other, so it is not they that are compared, but blocks of time: days,
where there are enough of them, else quarters of a day, else hours; workdays with workdays, weekends with weekends, and
within a day its quarters with their like. How `statistics` tells.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from .recorded import Record, Recorded
from .statistics import CONFIDENCE, Block, Estimate, arrangements, holm, permuted, standardised

DAY, QUARTER, HOUR = 86_400.0, 21_600.0, 3_600.0
LENGTHS = (DAY, QUARTER, HOUR)
LEAST_ARRANGEMENTS = 500
"""Fewer ways to have been before or after than that, and no difference could be told from chance."""
_WEEKEND = (5, 6)
_TOO_FEW = (
    "there are too few hours with locks on either side of the change that are alike: workdays are compared with "
    "workdays, mornings with mornings; ask again later, or for more days with --before and --after"
)

Direction: TypeAlias = Literal["up", "down", "not more than noise"]
Advice: TypeAlias = Literal["keep", "roll back", "undecided"]


class TooLittle(Exception):
    """There is not enough history for any answer; the message says of what."""


@dataclass(frozen=True, slots=True)
class Moved:
    """One measure, before and after."""

    name: str
    unit: str
    before: float
    after: float
    change: Estimate | None
    """How many times as large it is after; None where there was none before."""
    p: float
    """Corrected for the number of measures."""

    @property
    def direction(self) -> Direction:
        if self.p > 1 - CONFIDENCE:
            return "not more than noise"
        grew = self.after > self.before if self.change is None else self.change.value > 1
        return "up" if grew else "down"


@dataclass(frozen=True, slots=True)
class Impact:
    at: float
    """Of the change, seconds since 1970."""
    since: float
    until: float
    """What of history was looked at."""
    block: float
    """Seconds of a block."""
    blocks_before: int
    blocks_after: int
    locks_before: int
    locks_after: int
    moved: Sequence[Moved]
    advice: Advice
    why: str


@dataclass(frozen=True, slots=True)
class _Span:
    """A block of time, and what ended in it."""

    start: float
    end: float
    stratum: Hashable
    after: bool
    records: Sequence[Record]


def compare(
    history: Recorded, at: float, *, before: float, after: float, now: float, utc_offset: float = 0.0
) -> Impact:
    """What a change at `at` moved, by `before` seconds up to it and `after` seconds from then on.

    What was asked for before the change and ended after it belongs to neither. `utc_offset` is what the local clock
    is ahead by, to know workdays by. Raises `TooLittle`.
    """
    records = history.records
    since = max(at - before, min((each.ended_at for each in records), default=at))
    until = min(at + after, now)
    if since >= at or until <= at:
        raise TooLittle(f"there is no history {'before' if since >= at else 'after'} the change")
    for length in LENGTHS:
        spans = _comparable(_spans(records, at, since, until, length, utc_offset))
        if arrangements(_blocks(spans, _locks, _one)) >= LEAST_ARRANGEMENTS:
            break
    else:
        raise TooLittle(_TOO_FEW)
    moved = _moved(spans, history.knows_timeouts)
    advice, why = _advice(moved)
    sides = [[span for span in spans if span.after is side] for side in (False, True)]
    counts = [sum(each.held is not None for span in side for each in span.records) for side in sides]
    return Impact(at, since, until, length, len(sides[0]), len(sides[1]), counts[0], counts[1], moved, advice, why)


def _spans(
    records: Iterable[Record], at: float, since: float, until: float, length: float, utc_offset: float
) -> list[_Span]:
    """Counted from the change on, both ways. One at an end counts if half of it is covered."""
    inside: dict[int, list[Record]] = defaultdict(list)
    for record in records:
        if since <= record.ended_at <= until and not record.asked_at < at <= record.ended_at:
            inside[math.floor((record.ended_at - at) / length)].append(record)
    spans = []
    for number in range(math.floor((since - at) / length), math.ceil((until - at) / length)):
        start, end = max(at + number * length, since), min(at + (number + 1) * length, until)
        if end - start >= length / 2:
            spans.append(
                _Span(start, end, _stratum((start + end) / 2, length, utc_offset), number >= 0, inside[number])
            )
    return spans


def _stratum(moment: float, length: float, utc_offset: float) -> Hashable:
    local = time.gmtime(moment + utc_offset)
    return local.tm_wday in _WEEKEND, 0 if length >= DAY else local.tm_hour // 6


def _comparable(spans: Sequence[_Span]) -> list[_Span]:
    """Those of strata that have locks on both sides."""
    seen = {(span.stratum, span.after) for span in spans if any(each.held is not None for each in span.records)}
    return [span for span in spans if {(span.stratum, False), (span.stratum, True)} <= seen]


Measure: TypeAlias = Callable[[_Span], float]


def _moved(spans: Sequence[_Span], knows_timeouts: bool) -> list[Moved]:
    measures: list[tuple[str, str, Measure, Measure]] = [
        ("wait", "s", lambda span: sum(each.waited for each in span.records if each.held is not None), _locks),
        ("hold", "s", lambda span: sum(each.held or 0.0 for each in span.records), _locks),
        ("throughput", "locks an hour", _locks, lambda span: (span.end - span.start) / HOUR),
    ]
    if knows_timeouts:
        measures.append(("timeouts", "of all requests", lambda span: len(span.records) - _locks(span), _requests))
    blocks = {name: _blocks(spans, total, size) for name, _, total, size in measures}
    p_values = holm({name: permuted(each) for name, each in blocks.items()})
    return [
        Moved(
            name,
            unit,
            _mean(blocks[name], after=False),
            _mean(blocks[name], after=True),
            standardised(blocks[name]),
            p_values[name],
        )
        for name, unit, _, _ in measures
    ]


def _blocks(spans: Iterable[_Span], total: Measure, size: Measure) -> list[Block]:
    return [Block(span.stratum, span.after, total(span), size(span)) for span in spans]


def _locks(span: _Span) -> float:
    return sum(each.held is not None for each in span.records)


def _requests(span: _Span) -> float:
    return len(span.records)


def _one(_: _Span) -> float:
    return 1.0


def _mean(blocks: Iterable[Block], *, after: bool) -> float:
    mine = [block for block in blocks if block.after is after]
    size = sum(block.size for block in mine)
    return sum(block.total for block in mine) / size if size else 0.0


def _advice(moved: Sequence[Moved]) -> tuple[Advice, str]:
    """A change is taken back for what people wait for. Where there is more work too, that may be why they do."""
    ways = {each.name: each.direction for each in moved}
    worse = [name for name in ("wait", "timeouts") if ways.get(name) == "up"]
    more = [name for name in ("hold", "throughput") if ways.get(name) == "up"]
    better = [name for name in ("wait", "timeouts") if ways.get(name) == "down"]
    if worse and more:
        return "undecided", f"{_and(worse)} went up, and so did {_and(more)}: more work may be the reason"
    if worse:
        return "roll back", f"{_and(worse)} went up by more than noise, and there is no more work than before"
    if better:
        return "keep", f"{_and(better)} went down by more than noise"
    return "keep", "neither waits nor timeouts moved by more than noise"


def _and(names: Sequence[str]) -> str:
    return " and ".join(names)
