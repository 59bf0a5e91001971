"""Simulated histories: two weeks of a host whose waits have days, weekends, good hours and bad ones."""

from __future__ import annotations

import math
import random

from gpulockd.evidence.recorded import Record, Recorded

MONDAY = 1_764_547_200.0
"""2025-12-01 00:00 UTC; the change is a week later."""
CHANGE = MONDAY + 7 * 86_400.0
END = MONDAY + 14 * 86_400.0


def simulated(
    seed: int, *, worse: float = 1.0, busier: float = 1.0, in_vain: tuple[float, float] = (0.02, 0.02)
) -> Recorded:
    """`worse` and `busier` multiply waits and the number of locks from the change on.

    An hour's mean wait depends on the hour before (an autoregressive process), on the time of day and on the day of the
    week; single waits are skewed, as waits are, and some are nothing. `in_vain` is the share of timeouts before and
    after.
    """
    chance = random.Random(seed)
    records: list[Record] = []
    mood = 0.0
    for hour in range(14 * 24):
        start = MONDAY + hour * 3_600.0
        after = start >= CHANGE
        mood = 0.6 * mood + chance.gauss(0, 0.05)
        weekend = (hour // 24) % 7 >= 5
        day = 0.6 + 0.4 * math.sin((hour % 24 - 8) / 24 * 2 * math.pi)
        busy = day * (0.4 if weekend else 1.0) * (busier if after else 1.0)
        level = 60 * (0.4 + busy) * math.exp(mood) * (worse if after else 1.0)
        for _ in range(round(chance.gauss(30 * busy, math.sqrt(30 * busy)))):
            moment = start + 3_600.0 * chance.random()
            if chance.random() < in_vain[after]:
                records.append(Record(moment, 1_800.0, None))
                continue
            wait = 0.0 if chance.random() < 0.1 else -level / 2 * math.log(chance.random() * chance.random())
            records.append(Record(moment, wait, 30.0 + chance.expovariate(1 / 60)))
    return Recorded(records, knows_timeouts=True)


def shuffled(history: Recorded, seed: int) -> Recorded:
    """The same requests at each other's moments: whatever a change did is no more to be seen."""
    records = list(history.records)
    moments = [each.ended_at for each in records]
    random.Random(seed).shuffle(moments)
    moved = [Record(at, each.waited, each.held) for each, at in zip(records, moments, strict=True)]
    return Recorded(moved, knows_timeouts=True)
