"""`python -m tests.simulation SEED`: one seed's whole story, and what was found."""

from __future__ import annotations

import sys

from .world import simulate

for text in sys.argv[1:]:
    outcome = simulate(int(text))
    print(outcome.story.end(10**6))
    print(outcome.digest, outcome.steps, "steps", outcome.happenings, "happenings", outcome.findings)
