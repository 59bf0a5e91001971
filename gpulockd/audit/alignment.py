"""Which of these belongs to which of those, where both are in the same order and either may lack some."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from itertools import zip_longest
from typing import TypeAlias, TypeVar

T = TypeVar("T")
Traits: TypeAlias = frozenset[Hashable]
MANY_PAIRS = 250_000
ALIKE = 0.01
"""Two that share nothing at all may still belong together, if their place says so."""


def aligned(ones: Sequence[T], others: Sequence[T], traits: Callable[[T], Traits]) -> list[tuple[T | None, T | None]]:
    """Pairs in order; None stands for what is missing. As many on both sides belong together one by one.

    Otherwise the pairs share as many traits as can be; where they would be too many to try, they go by their order.
    """
    if len(ones) == len(others):
        return list(zip(ones, others, strict=True))
    marks, other_marks = [traits(each) for each in ones], [traits(each) for each in others]
    shorter = min(len(ones), len(others))
    head = next((at for at in range(shorter) if marks[at] != other_marks[at]), shorter)
    tail = next((at for at in range(shorter - head) if marks[-1 - at] != other_marks[-1 - at]), shorter - head)
    end, other_end = len(ones) - tail, len(others) - tail
    middle = _middle(marks[head:end], other_marks[head:other_end])
    return [
        *zip(ones[:head], others[:head], strict=True),
        *((_of(ones, one, head), _of(others, other, head)) for one, other in middle),
        *zip(ones[end:], others[other_end:], strict=True),
    ]


def _of(sequence: Sequence[T], at: int | None, head: int) -> T | None:
    return None if at is None else sequence[head + at]


def _middle(ones: Sequence[Traits], others: Sequence[Traits]) -> list[tuple[int | None, int | None]]:
    """By their indexes: of all ways to pair them in order, the one in which they share most."""
    if len(ones) * len(others) > MANY_PAIRS:
        return list(zip_longest(range(len(ones)), range(len(others))))
    best = [[0.0] * (len(others) + 1) for _ in range(len(ones) + 1)]
    for row in range(len(ones) - 1, -1, -1):
        for column in range(len(others) - 1, -1, -1):
            joined = best[row + 1][column + 1] + _likeness(ones[row], others[column])
            best[row][column] = max(joined, best[row + 1][column], best[row][column + 1])
    pairs: list[tuple[int | None, int | None]] = []
    row = column = 0
    while row < len(ones) and column < len(others):
        if best[row][column] == best[row + 1][column + 1] + _likeness(ones[row], others[column]):
            pairs.append((row, column))
            row, column = row + 1, column + 1
        elif best[row][column] == best[row + 1][column]:
            pairs.append((row, None))
            row += 1
        else:
            pairs.append((None, column))
            column += 1
    return [
        *pairs,
        *((at, None) for at in range(row, len(ones))),
        *((None, at) for at in range(column, len(others))),
    ]


def _likeness(one: Traits, other: Traits) -> float:
    both = len(one | other)
    return ALIKE + (len(one & other) / both if both else 0.0)
