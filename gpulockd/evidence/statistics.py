"""Estimates with what they may be wrong by, and tests of whether two stretches differ. Pure.

Ratios: the jackknife over rounds or blocks with Student's t (W. G. Cochran, Sampling Techniques, 3rd ed., 1977, 6.17;
strata as in K. Wolter, Introduction to Variance Estimation, 2nd ed., 2007, chapter 4). Shares: E. B. Wilson's interval
(JASA 22, 1927). Differences: a permutation test within strata, whose blocks are long enough for what is in them to be
dependent and they themselves not (P. Good, Permutation, Parametric and Bootstrap Tests of Hypotheses, 3rd ed., 2005).
Several tests at once: S. Holm's step-down (Scand. J. Statistics 6, 1979).
"""

from __future__ import annotations

import itertools
import math
import random
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from statistics import NormalDist, fmean
from typing import NamedTuple

CONFIDENCE = 0.95
DRAWS = 2_000
"""Arrangements that a permutation test looks at where there are more than can be looked at one by one."""
_ALL = 20_000
"""Up to so many are looked at one by one."""


class Estimate(NamedTuple):
    """A value and its confidence interval."""

    value: float
    low: float
    high: float


class Portion(NamedTuple):
    """What one round brings to a ratio: the sum of its totals by that of its sizes."""

    total: float
    size: float


class Block(NamedTuple):
    """A stretch of time on one side of a change, whose mean is `total / size`."""

    stratum: Hashable
    """Blocks are compared with those of the same stratum: workdays with workdays."""
    after: bool
    total: float
    size: float


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which `share` (0 to 1) of `values` lies, linear between neighbours. Raises `ValueError`: none."""
    if not values:
        raise ValueError("no values, so no quantile")
    ordered = sorted(values)
    at = (len(ordered) - 1) * share
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)


def ratio(portions: Sequence[Portion]) -> Estimate | None:
    """The sum of all totals by that of all sizes; None where these are nothing.

    One portion says nothing of how far it may be off: its interval is everything.
    """
    total, size = sum(each.total for each in portions), sum(each.size for each in portions)
    if not size:
        return None
    value, n = total / size, len(portions)
    if n < 2 or any(size == each.size for each in portions):
        return Estimate(value, 0.0, math.inf)
    left_out = [(total - each.total) / (size - each.size) for each in portions]
    middle = fmean(left_out)
    error = math.sqrt((n - 1) / n * sum((each - middle) ** 2 for each in left_out))
    reach = student(n - 1) * error
    return Estimate(value, max(0.0, value - reach), value + reach)


def share(hits: int, of: int) -> Estimate:
    """How large a share of all such cases would be hits, by Wilson's interval."""
    if not of:
        return Estimate(0.0, 0.0, 1.0)
    z, p = NormalDist().inv_cdf((1 + CONFIDENCE) / 2), hits / of
    middle = (p + z * z / (2 * of)) / (1 + z * z / of)
    reach = z / (1 + z * z / of) * math.sqrt(p * (1 - p) / of + z * z / (4 * of * of))
    return Estimate(p, 0.0 if hits == 0 else middle - reach, 1.0 if hits == of else middle + reach)


def student(freedom: int, confidence: float = CONFIDENCE) -> float:
    """The quantile of Student's t for a two-sided interval, found by halving."""
    low, high = 0.0, 1.0
    while _within(high, freedom) < confidence:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, freedom) < confidence else (low, middle)
    return high


def _within(t: float, freedom: int) -> float:
    """How probable it is that Student's t is between -t and t (Abramowitz and Stegun, 26.7.3 and 26.7.4)."""
    angle = math.atan(t / math.sqrt(freedom))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = freedom % 2
    term, total = (cosine if odd else 1.0), 0.0
    for step in range(2 + odd, freedom + 1, 2):
        total += term
        term *= cosine * cosine * (step - 1) / step
    return 2 / math.pi * (angle + sine * total) if odd else sine * total


def standardised(blocks: Sequence[Block]) -> Estimate | None:
    """How many times as large the mean is after as before, each stratum weighing as much on either side.

    None where a side has nothing in a stratum, or nothing at all before: then there is no such ratio.
    """
    sides = _sides(blocks)
    value = _log_ratio(sides)
    if value is None:
        return None
    variance, freedom = 0.0, 0
    for stratum, after in ((stratum, after) for stratum in sides for after in (False, True)):
        mine = sides[stratum][after]
        left_out = [_log_ratio(sides, leaving=each) for each in mine]
        if len(mine) < 2 or any(each is None for each in left_out):
            return Estimate(math.exp(value), 0.0, math.inf)
        known = [each for each in left_out if each is not None]
        middle = fmean(known)
        variance += (len(mine) - 1) / len(mine) * sum((each - middle) ** 2 for each in known)
        freedom += len(mine) - 1
    reach = student(freedom) * math.sqrt(variance)
    return Estimate(math.exp(value), math.exp(value - reach), math.exp(value + reach))


def permuted(blocks: Sequence[Block], seed: int = 0) -> float:
    """How probable a difference of means at least as large is, if within strata it is chance what was before or after.

    Every arrangement is looked at where these are few, else `DRAWS` of them, the same for the same `seed`.
    """
    strata = [_Stratum(mine) for mine in _strata(blocks).values()]
    seen = abs(sum(stratum.seen for stratum in strata)) * (1 - 1e-9)  # the same sum in another order is no less
    if math.prod(stratum.arrangements for stratum in strata) <= _ALL:
        sums = [0.0]
        for stratum in strata:
            differences = list(stratum.all())
            sums = [one + other for one in sums for other in differences]
        return sum(abs(each) >= seen for each in sums) / len(sums)
    chance = random.Random(seed)
    as_large = sum(abs(sum(stratum.drawn(chance) for stratum in strata)) >= seen for _ in range(DRAWS))
    return (as_large + 1) / (DRAWS + 1)


def arrangements(blocks: Sequence[Block]) -> int:
    """In how many ways the blocks could have been before or after. The least p value is about one by this."""
    return math.prod(_Stratum(mine).arrangements for mine in _strata(blocks).values())


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Each p value made larger, so that of all that are below 0.05 any is so by chance in 5 % of cases."""
    corrected, least = {}, 0.0
    for place, (name, p) in enumerate(sorted(p_values.items(), key=lambda each: each[1])):
        least = max(least, min(1.0, p * (len(p_values) - place)))
        corrected[name] = least
    return corrected


class _Stratum:
    """The blocks of one stratum, and how its means differ for each choice of those that were after."""

    def __init__(self, blocks: Sequence[Block]) -> None:
        self._blocks = blocks
        self._total, self._all = sum(each.total for each in blocks), sum(each.size for each in blocks)
        self._after = sum(each.after for each in blocks)
        self.arrangements = math.comb(len(blocks), self._after)
        self.seen = self._difference([each for each in blocks if each.after])

    def all(self) -> Iterator[float]:
        return map(self._difference, itertools.combinations(self._blocks, self._after))

    def drawn(self, chance: random.Random) -> float:
        return self._difference(chance.sample(self._blocks, self._after))

    def _difference(self, after: Iterable[Block]) -> float:
        """After less before, weighted by the stratum's size; nothing where one side has nothing."""
        total = size = 0.0
        for each in after:
            total += each.total
            size += each.size
        if not size or size == self._all:
            return 0.0
        return self._all * (total / size - (self._total - total) / (self._all - size))


def _strata(blocks: Iterable[Block]) -> dict[Hashable, list[Block]]:
    found: dict[Hashable, list[Block]] = defaultdict(list)
    for block in blocks:
        found[block.stratum].append(block)
    return found


_Sides = Mapping[Hashable, Mapping[bool, Sequence[Block]]]


def _sides(blocks: Sequence[Block]) -> _Sides:
    return {
        stratum: {after: [each for each in mine if each.after is after] for after in (False, True)}
        for stratum, mine in _strata(blocks).items()
    }


def _log_ratio(sides: _Sides, leaving: Block | None = None) -> float | None:
    """`leaving` is left out. None where it cannot be said."""
    sums = {False: 0.0, True: 0.0}
    for stratum in sides.values():
        weight = sum(each.size for mine in stratum.values() for each in mine)
        for after, mine in stratum.items():
            kept = [each for each in mine if each is not leaving]
            if not (size := sum(each.size for each in kept)):
                return None
            sums[after] += weight * sum(each.total for each in kept) / size
    return math.log(sums[True] / sums[False]) if min(sums.values()) > 0 else None
