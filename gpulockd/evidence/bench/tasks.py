"""What the workers do: kinds of tasks, mixes of them, and what one block's workers are given. Pure but for the seed."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Kind(NamedTuple):
    """A kind of task, by how long it needs the GPU: so many seconds, each length as probable as another."""

    least: float
    most: float
    is_like: str

    @property
    def mean(self) -> float:
        return (self.least + self.most) / 2


KINDS: Mapping[str, Kind] = {
    "short": Kind(0.5, 4.5, "an OCR frame"),
    "medium": Kind(30.0, 60.0, "an ffmpeg crop"),
    "long": Kind(300.0, 600.0, "a long transcription"),
}
COMMAND = "command"
"""The kind of a task that is a command of the user's; how long it takes, it shows."""

Mix = Mapping[str, float]
"""How often each kind comes, in proportion."""

_LONGEST_PAUSE = 4.0
"""Times the mean: a block must not wait for one worker's pause."""


class Task(NamedTuple):
    kind: str
    pause: float
    """Seconds before it wants the GPU."""
    hold: float
    """Seconds for which it needs it."""


class BadMix(ValueError):
    """What is wrong with a mix, in words."""


def parse_mix(text: str) -> Mix:
    """`short=8,medium=2`. Raises `BadMix`."""
    mix: dict[str, float] = {}
    for part in text.split(","):
        name, _, weight = part.strip().partition("=")
        if name not in KINDS:
            raise BadMix(f"{name!r} is no kind of task: {', '.join(KINDS)}")
        if name in mix:
            raise BadMix(f"{name} stands there twice")
        if not weight.isdecimal() or not 0 < int(weight) <= 1000:
            raise BadMix(f"{part.strip()!r}: write {name}=N, N from 1 to 1000")
        mix[name] = float(weight)
    return mix


def mean_hold(mix: Mix) -> float:
    return sum(weight * KINDS[kind].mean for kind, weight in mix.items()) / sum(mix.values())


def mean_pause(hold: float, workers: int, gpus: int, load: float) -> float:
    """The mean pause between two tasks of a worker, so that the GPUs would be busy for `load` of the time if nobody
    ever waited: each of `workers` then needs one for `hold` of every `hold + pause`."""
    return max(0.0, hold * (workers / (load * gpus) - 1))


def deal(
    mix: Mix, workers: int, each: int, *, pause: float, scale: float, seed: str, hold: float | None = None
) -> list[list[Task]]:
    """`each` tasks for each worker: the same for the same `seed`, whoever is measured with them.

    `pause` is the mean of what lies before a task; `scale` shortens everything. `hold` is for a command, which takes
    as long as it takes.
    """
    chance = random.Random(seed)
    kinds, weights = list(mix) or [COMMAND], list(mix.values()) or [1.0]

    def task() -> Task:
        kind = chance.choices(kinds, weights)[0]
        waits = min(chance.expovariate(1 / pause), _LONGEST_PAUSE * pause) if pause else 0.0
        needs = chance.uniform(KINDS[kind].least, KINDS[kind].most) if hold is None else hold
        return Task(kind, waits * scale, needs * scale)

    return [[task() for _ in range(each)] for _ in range(workers)]


def described(mix: Mix) -> str:
    """`short (an OCR frame, 0.5 to 4.5 s)`, with the shares where there are several."""
    whole = sum(mix.values())
    parts: Sequence[str] = [
        f"{kind} ({KINDS[kind].is_like}, {KINDS[kind].least:g} to {KINDS[kind].most:g} s)"
        + (f", {weight / whole:.0%} of them" if len(mix) > 1 else "")
        for kind, weight in mix.items()
    ]
    return "; ".join(parts)
