"""Which of these belongs to which of those, where both are in the same order and either may lack some."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

T = TypeVar("T")
ALIKE = 0.01
"""Two that share nothing at all may still belong together, if their place says so."""


def aligned(
    ones: Sequence[T], others: Sequence[T], traits: Callable[[T], frozenset[Hashable]]
) -> list[tuple[T | None, T | None]]:
    """Pairs in order; None stands for what is missing. As many on both sides belong together one by one.

    Otherwise the pairs share as many traits as can be.
    """
    if len(ones) == len(others):
        return list(zip(ones, others, strict=True))
    marks, other_marks = [traits(each) for each in ones], [traits(each) for each in others]
    best = [[0.0] * (len(others) + 1) for _ in range(len(ones) + 1)]
    for row in range(len(ones) - 1, -1, -1):
        for column in range(len(others) - 1, -1, -1):
            joined = best[row + 1][column + 1] + _likeness(marks[row], other_marks[column])
            best[row][column] = max(joined, best[row + 1][column], best[row][column + 1])
    pairs: list[tuple[T | None, T | None]] = []
    row = column = 0
    while row < len(ones) and column < len(others):
        if best[row][column] == best[row + 1][column + 1] + _likeness(marks[row], other_marks[column]):
            pairs.append((ones[row], others[column]))
            row, column = row + 1, column + 1
        elif best[row][column] == best[row + 1][column]:
            pairs.append((ones[row], None))
            row += 1
        else:
            pairs.append((None, others[column]))
            column += 1
    return [*pairs, *((each, None) for each in ones[row:]), *((None, each) for each in others[column:])]


def _likeness(one: frozenset[Hashable], other: frozenset[Hashable]) -> float:
    both = len(one | other)
    return ALIKE + (len(one & other) / both if both else 0.0)
