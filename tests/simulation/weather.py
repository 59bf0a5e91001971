"""What goes wrong in a world, and how often: drawn from its seed, so that each seed leaves most of it out.

A world in which everything fails all the time shows little: nothing gets far enough. Each seed switches on some of the
faults, as swarm testing does (Groce et al., ISSTA 2012), and so some worlds are calm enough for long stories and others
are wild in one respect.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

AT_AN_ACTION = {
    "crash before commit": 0.02,
    "crash after commit": 0.02,
    "crash among effects": 0.01,
    "crash at an await": 0.002,
    "commit fails": 0.03,
    "commit fails and is done": 0.02,
    "commit is slow": 0.04,
    "request to store lost": 0.1,
    "answer of store lost": 0.1,
    "request to store doubled": 0.1,
    "request to store late": 0.05,
    "announcement lost": 0.3,
    "announcement doubled": 0.3,
    "event doubled": 0.03,
}
"""With what probability each befalls an action, where it is switched on."""

NOW_AND_THEN = (
    "daemon killed",
    "daemon stopped",
    "daemon paused",
    "store forgets",
    "lease deleted",
    "store down",
    "store frozen",
    "store slow",
    "journal broken",
    "driver silent",
    "driver slow",
    "gpu sick",
    "gpu drained",
    "lock revoked",
    "worker killed",
    "worker frozen",
    "worker hangs in the driver",
    "no right to signal",
)
"""What comes over a world from time to time, where it is switched on."""


@dataclass(frozen=True, slots=True)
class Weather:
    odds: dict[str, float] = field(default_factory=dict)
    """Of what befalls an action."""
    spells: tuple[str, ...] = ()
    every: float = 3.0
    """Seconds between two spells, on average."""

    @classmethod
    def draw(cls, chance: random.Random, hosts: int) -> Weather:
        """Where there are several hosts, GPUs are to move between them: daemons stop, and let their leases go."""
        share = chance.choice((0.0, 0.2, 0.5, 0.8))
        odds = {fault: odds for fault, odds in AT_AN_ACTION.items() if chance.random() < share}
        spells = tuple(spell for spell in NOW_AND_THEN if chance.random() < max(share, 0.15))
        every = chance.choice((1.0, 3.0, 10.0))
        if hosts > 1 and chance.random() < 0.5:
            spells, every = (*spells, *["daemon stopped", "lease deleted"] * (1 + len(spells) // 2)), 5.0
        return cls(odds, spells, every)
