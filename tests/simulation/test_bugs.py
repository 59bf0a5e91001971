"""Each planted bug is found, within the seeds that every run of the tests goes through, and by the check it breaks."""

from __future__ import annotations

import pytest

from .bugs import PLANTED
from .run import outcomes
from .test_seeds import SEEDS


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_bug_is_found(name: str) -> None:
    planted = PLANTED[name]
    found = next((outcome for outcome in outcomes(range(SEEDS), planted.bugs) if outcome.findings), None)
    assert found is not None, f"{SEEDS} seeds find nothing wrong"
    first = found.findings[0]
    print(f"seed {found.seed}, {first.check}: {first.what}")
    assert first.check in planted.found_by, f"found by another check than it breaks: {first}"
