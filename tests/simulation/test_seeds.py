"""Many worlds, one seed each: in none of them may a law be broken, and each must be the same wherever it is run."""

from __future__ import annotations

import pytest

from .world import simulate


@pytest.mark.parametrize("seed", range(50))
def test_no_law_is_broken(seed: int) -> None:
    outcome = simulate(seed)
    assert outcome.findings == (), outcome.story.end(60)


def test_a_seed_is_the_same_world_each_time() -> None:
    assert [simulate(seed).digest for seed in range(5)] == [simulate(seed).digest for seed in range(5)]
