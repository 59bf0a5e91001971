"""Many worlds, one seed each: in none of them may a law be broken, and each must be the same wherever it is run."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from .run import known_seeds, report
from .world import STORM, simulate

SEEDS = 2000
HASH_SEEDS = ("1", "2")
"""Sets and dictionaries of strings are in another order under each."""


@pytest.mark.parametrize("seed", known_seeds())
def test_what_was_found_once_stays_mended(seed: int) -> None:
    outcome = simulate(seed)
    assert outcome.findings == (), report(outcome)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_no_seed_breaks_a_law_and_each_is_the_same_world_under_any_order_of_hashes() -> None:
    command = [sys.executable, "-W", "error", "-m", "tests.simulation", "--range", "0", str(SEEDS)]
    runs = [
        subprocess.Popen(
            command,
            env={**os.environ, "PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for seed in HASH_SEEDS
    ]
    try:
        told = [run.communicate() for run in runs]
    finally:
        for run in runs:
            run.kill()
            run.wait()
    for run, (_, stderr) in zip(runs, told, strict=True):
        assert run.returncode == 0, stderr[-20_000:]
    here, there = (digests.splitlines() for digests, _ in told)
    assert len(here) == SEEDS
    differing = [one for one, other in zip(here, there, strict=True) if one != other]
    assert differing == [], f"something in these worlds depends on the order of hashes: {differing[:5]}"
    print(told[0][1])


def test_a_seed_is_as_long_as_it_says() -> None:
    outcome = simulate(0)
    assert outcome.steps >= STORM
    assert outcome.holds > 0
    assert outcome.faults.total() > 0
