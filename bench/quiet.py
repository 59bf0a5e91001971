"""The guard of a quiet machine: how much others disturbed a measurement, and what is done about it."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import psutil

QUIET = 0.10
"""Cores that others may use while something is measured."""
_LOOK = 0.5

Result = TypeVar("Result")


@dataclass(slots=True)
class Patience:
    """How much a run does about a machine that is not quiet; with none left, all is measured once, as it is."""

    left: float
    """Seconds for waiting and repeating, in all of the run."""
    wait: float
    """Of these at most so many for one wait."""
    tries: int
    """How often one thing is measured at most."""


@dataclass(frozen=True, slots=True)
class Measured(Generic[Result]):
    result: Result
    noise: float
    """Cores that others used meanwhile, the hypervisor among them."""

    @property
    def disturbed(self) -> bool:
        return self.noise > QUIET


class Watch:
    """What others used since it began. `used` are the CPU seconds so far: of all, and of this process and its own."""

    def __init__(self, used: Callable[[], tuple[float, float]] | None = None) -> None:
        self._used = used or _used
        self._since, (self._all, self._own) = time.monotonic(), self._used()

    def noise(self) -> float:
        """In cores. Below zero it cannot be: the kernel's books are a hundredth of a second coarse."""
        everything, own = self._used()
        wall = max(time.monotonic() - self._since, 1e-9)
        return max(0.0, ((everything - self._all) - (own - self._own)) / wall)


def undisturbed(
    measure: Callable[[], Result], patience: Patience, watch: Callable[[], Watch] = Watch
) -> Measured[Result]:
    """What `measure` returned on a quiet machine; where it never was quiet, the least disturbed of all tries."""
    best: Measured[Result] | None = None
    for _ in range(patience.tries):
        began = time.monotonic()
        _wait(began + min(patience.wait, patience.left), watch)
        patience.left -= time.monotonic() - began
        began, observer = time.monotonic(), watch()
        measured = Measured(measure(), observer.noise())
        if best is None or measured.noise < best.noise:
            best = measured
        if not measured.disturbed:
            break
        patience.left -= time.monotonic() - began
        if patience.left <= 0:
            break
    assert best is not None, "at least one try"
    return best


def _wait(end: float, watch: Callable[[], Watch]) -> None:
    while time.monotonic() < end:
        observer = watch()
        time.sleep(_LOOK)
        if observer.noise() <= QUIET:
            return


def _used() -> tuple[float, float]:
    times = psutil.cpu_times()
    everything = times.user + times.nice + times.system + times.irq + times.softirq + times.steal
    me = os.times()
    own = me.user + me.system + me.children_user + me.children_system
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            own += sum(child.cpu_times()[:4])
    return everything, own
