"""The targets of the fuzzer, by hypothesis: what a few hundred tries find is found in every test run."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from .targets import FOUND, TARGETS

TRIES = {"framing": 300, "extent": 300, "methods": 250}


@pytest.mark.parametrize("name", TARGETS)
def test_any_bytes(name: str) -> None:
    @settings(max_examples=TRIES[name], deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.binary(min_size=1, max_size=600))
    def hold(data: bytes) -> None:
        TARGETS[name](data)

    hold()


def test_what_was_found_once_stays_mended() -> None:
    for path in sorted(FOUND.glob("*-*")):
        TARGETS[path.name.partition("-")[0]](path.read_bytes())
