"""How often `config impact` finds a planted change, and how often one that is not there.

python -m tests.evidence.calibration 1500    says it of so many simulated histories
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import NamedTuple

from gpulockd.evidence.impact import DAY, Impact, compare
from gpulockd.evidence.recorded import Recorded

from .past import CHANGE, END, shuffled, simulated

WORSE = 1.2


class Found(NamedTuple):
    planted: int
    """Histories with waits longer by a fifth in which these were found to be longer."""
    by_chance: int
    """The same histories, shuffled, in which anything was found."""


def impact(history: Recorded, **options: float) -> Impact:
    """Of the change, by a week on either side."""
    return compare(history, **{"at": CHANGE, "before": 7 * DAY, "after": 7 * DAY, "now": END, **options})


def directions(found: Impact) -> dict[str, str]:
    """What moved."""
    return {each.name: each.direction for each in found.moved if each.direction != "not more than noise"}


def found_in(seeds: Iterable[int]) -> Found:
    planted = by_chance = 0
    for seed in seeds:
        history = simulated(seed, worse=WORSE)
        planted += directions(impact(history)).get("wait") == "up"
        by_chance += bool(directions(impact(shuffled(history, seed))))
    return Found(planted, by_chance)


if __name__ == "__main__":
    histories = int(sys.argv[1])
    found = found_in(range(histories))
    print(f"found: {found.planted} of {histories} planted, {found.by_chance} of {histories} that were shuffled")
