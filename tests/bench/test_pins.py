"""The environments of the benchmark and the fuzzer: pinned, hashed, and on the versions that everybody else has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]


def pins(name: str) -> dict[str, str]:
    """Distribution -> version. Each has hashes."""
    blocks = re.split(r"\n(?=[a-z])", (ROOT / name).read_text())
    found: dict[str, str] = {}
    for block in blocks:
        if "==" in block:
            assert "--hash=sha256:" in block, block
            distribution, _, version = block.partition(" ")[0].partition("==")
            found[canonicalize_name(distribution)] = version
    return found


APART = ("bench", "tests/fuzz")


@pytest.mark.parametrize("folder", APART)
def test_everything_asked_for_is_pinned_and_no_address_is_named(folder: str) -> None:
    lines = (ROOT / folder / "requirements.in").read_text().splitlines()
    asked = {Requirement(line.partition(" #")[0]) for line in lines if line and not line.startswith("#")}
    assert {canonicalize_name(each.name) for each in asked} <= set(pins(f"{folder}/constraints.txt"))
    assert "://" not in (ROOT / folder / "constraints.txt").read_text()


@pytest.mark.parametrize("folder", APART)
def test_what_is_measured_and_fuzzed_runs_on_the_versions_that_are_tested(folder: str) -> None:
    everybody, apart = pins("constraints.txt"), pins(f"{folder}/constraints.txt")
    assert apart.keys() & everybody.keys() >= {"redis", "uvloop", "msgpack"}
    assert {name: version for name, version in apart.items() if everybody.get(name, version) != version} == {}
