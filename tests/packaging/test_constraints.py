"""The pins: they cover what is declared, each with hashes, and say nothing of where to fetch it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PINS = (ROOT / "constraints.txt").read_text()


def pinned() -> dict[str, Requirement]:
    """What constraints.txt pins, by canonical name."""
    joined = PINS.replace("\\\n", " ")
    lines = [line for line in joined.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    requirements = [Requirement(line.partition("--hash")[0].strip()) for line in lines]
    return {canonicalize_name(requirement.name): requirement for requirement in requirements}


def declared() -> list[Requirement]:
    """What the two distributions and their development tools ask for, of others."""
    root = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    client = tomllib.loads((ROOT / "client/pyproject.toml").read_text())["project"]
    asked = root["dependencies"] + root["optional-dependencies"]["dev"] + client["dependencies"]
    return [requirement for requirement in map(Requirement, asked) if requirement.name != "gpulock"]


@pytest.mark.parametrize("requirement", declared(), ids=lambda requirement: requirement.name)
def test_what_is_declared_is_pinned_to_a_version_that_fits(requirement: Requirement) -> None:
    pins = pinned()
    name = canonicalize_name(requirement.name)
    assert name in pins, f"{name} is not pinned: run `make constraints`"
    (pin,) = pins[name].specifier
    assert pin.operator == "=="
    assert requirement.specifier.contains(pin.version), f"{pins[name]} does not fit: run `make constraints`"


def test_every_pin_has_hashes() -> None:
    blocks = re.split(r"\n(?=[a-z])", PINS)
    assert all("--hash=sha256:" in block for block in blocks if "==" in block)


def test_no_address_is_named() -> None:
    assert "://" not in PINS
    assert not re.search(r"^\s*--?(?!hash)\w", PINS, re.MULTILINE)
