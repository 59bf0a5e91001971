"""A soak can be interrupted: it tells what it has seen, and no interrupt is taken for something that went wrong."""

from __future__ import annotations

import re
import signal
import subprocess
import sys

import pytest

from gpulockd.core.actions import Action
from gpulockd.core.events import Event

from . import run
from .referee import ObservedMachine
from .world import Bugs, Outcome, World, simulate

MANY = 100
"""Events after which a world of these tests is interrupted: by then its daemons are at work."""


def interrupted_by(interrupt: type[BaseException]) -> type[ObservedMachine]:
    class InterruptedMachine(ObservedMachine):
        def react(self, event: Event, now: float) -> list[Action]:
            if self.daemon.world.referee.events == MANY:
                raise interrupt
            return super().react(event, now)

    return InterruptedMachine


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_in_the_midst_of_a_daemon_ends_the_world(interrupt: type[BaseException]) -> None:
    world = World(0, Bugs(machine=interrupted_by(interrupt)))
    with pytest.raises(interrupt):
        world.run()
    assert world.findings == []


def test_whatever_else_a_daemon_fails_of_is_a_finding() -> None:
    outcome = simulate(0, Bugs(machine=interrupted_by(GeneratorExit)))
    assert [finding.check for finding in outcome.findings] == ["daemon"]


def test_a_soak_without_end_that_is_interrupted_tells_of_each_kind_of_fault() -> None:
    soak = subprocess.Popen(
        [sys.executable, "-m", "tests.simulation", "--soak", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert soak.stdout is not None
        assert soak.stdout.readline().startswith("seeds from ")
        soak.send_signal(signal.SIGINT)
        out, told = soak.communicate(timeout=60)
    finally:
        soak.kill()
        soak.wait()
    if soak.returncode != 1:  # a fresh seed may have found something: that is another matter
        assert (soak.returncode, out) == (130, "")
    assert re.match(r"[\d,]+ seeds, [\d,]+ events at a core", told), told
    _, _, faults = told.partition("simulated hours\n")
    counts = re.findall(r"[\d,]+(?= faults:$|$)", faults, re.MULTILINE)
    number, *of_each_kind = (int(each.replace(",", "")) for each in counts)
    assert number == sum(of_each_kind), told
    assert "Traceback" not in told


def test_a_second_interrupt_does_not_wait_for_the_seed_at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    def simulate_and_interrupt(seed: int, bugs: Bugs | None) -> Outcome:
        if seed == 1:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            pytest.fail("it went on")
        return simulate(seed, bugs)

    monkeypatch.setattr(run, "simulate", simulate_and_interrupt)
    before = signal.getsignal(signal.SIGINT)
    total = run.soak(60, first=0)
    assert (total.seeds, total.interrupted) == (1, True)
    assert signal.getsignal(signal.SIGINT) is before
