"""Runs many seeds, one after the other, and says what came of them."""

from __future__ import annotations

import gc
import itertools
import signal
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from .world import Bugs, Outcome, simulate

LIST = Path(__file__).with_name("seeds.txt")
STORY_LINES = 80
TELL_EVERY, TELL_ALL_EVERY = 10.0, 60.0
"""Seconds between two lines about a soak, and between two accounts of its faults."""
COLLECT_EVERY = 20
"""Seeds: what a world leaves goes in circles, and collecting it in the middle of one only costs time."""


@dataclass(slots=True)
class Total:
    """Of all seeds so far."""

    seeds: int = 0
    steps: int = 0
    happenings: int = 0
    holds: int = 0
    seconds: float = 0.0
    """Simulated."""
    faults: Counter[str] = field(default_factory=Counter)
    failed: list[int] = field(default_factory=list)
    interrupted: bool = False
    """Whether there were to be more."""

    def add(self, outcome: Outcome) -> None:
        self.seeds += 1
        self.steps += outcome.steps
        self.happenings += outcome.happenings
        self.holds += outcome.holds
        self.seconds += outcome.seconds
        self.faults += outcome.faults
        if outcome.findings:
            self.failed.append(outcome.seed)

    def __str__(self) -> str:
        faults = "\n".join(f"  {fault:<28}{count:>9,}" for fault, count in sorted(self.faults.items()))
        return (
            f"{self.seeds:,} seeds, {self.steps:,} events at a core, {self.happenings:,} happenings, "
            f"{self.holds:,} locks held, {self.seconds / 3600:,.1f} simulated hours\n"
            f"{sum(self.faults.values()):,} faults:\n{faults}"
        )


def outcomes(seeds: Iterable[int], bugs: Bugs | None = None) -> Iterator[Outcome]:
    """Each seed's; the garbage collector runs between worlds only."""
    gc.freeze()
    enabled = gc.isenabled()
    gc.disable()
    try:
        for number, seed in enumerate(seeds):
            yield simulate(seed, bugs)
            if number % COLLECT_EVERY == 0:
                gc.collect()
    finally:
        if enabled:
            gc.enable()
        gc.unfreeze()


def report(outcome: Outcome) -> str:
    """What a failed seed has to say."""
    findings = "\n".join(f"{finding.check}: {finding.what}" for finding in outcome.findings)
    return (
        f"{outcome.story.end(STORY_LINES)}\n\nseed {outcome.seed}: {findings}\n"
        f"The whole story: python -m tests.simulation {outcome.seed}\n"
        f"Once it is mended, add the seed to {LIST.name} beside it."
    )


def known_seeds() -> list[int]:
    """Those that have found something once, of `seeds.txt`."""
    lines = (line.partition("#")[0].strip() for line in LIST.read_text().splitlines())
    return [int(line) for line in lines if line]


def soak(seconds: float, first: int) -> Total:
    """Fresh seeds until the time is over or somebody interrupts it, and a line about them now and then. A failed seed
    is told whole.

    The first SIGINT lets the seed at hand come to its end, the second one ends that, too.
    """
    total, began = Total(), time.monotonic()
    told_at = told_all_at = began

    def interrupt(number: int, frame: FrameType | None) -> None:
        if total.interrupted:
            raise KeyboardInterrupt
        total.interrupted = True

    before = signal.signal(signal.SIGINT, interrupt)
    print(f"seeds from {first}", flush=True)
    try:
        for outcome in outcomes(itertools.count(first)):
            total.add(outcome)
            now = time.monotonic()
            if outcome.findings:
                print(report(outcome), flush=True)
            if now - told_all_at >= TELL_ALL_EVERY:
                told_at = told_all_at = now
                print(f"{now - began:6.0f} s: {len(total.failed)} failed of {total}", flush=True)
            elif now - told_at >= TELL_EVERY:
                told_at = now
                print(
                    f"{now - began:6.0f} s: {total.seeds:,} seeds, {total.steps:,} events, "
                    f"{sum(total.faults.values()):,} faults, {len(total.failed)} failed",
                    flush=True,
                )
            if total.interrupted or now - began >= seconds:
                break
    except KeyboardInterrupt:
        total.interrupted = True
    finally:
        signal.signal(signal.SIGINT, before)
    return total
