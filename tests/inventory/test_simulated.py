"""Simulated GPUs: always there, always the same, never used by anybody."""

from __future__ import annotations

import re

import pytest

from gpulockd.core.model import Sample
from gpulockd.inventory.simulated import SimulatedInventory
from gpulockd.ports import Inventory


async def test_they_are_the_same_at_every_start_and_on_no_other_host() -> None:
    first = await SimulatedInventory(4, "alpha").discover()
    again = await SimulatedInventory(8, "alpha").discover()
    elsewhere = await SimulatedInventory(4, "beta").discover()
    assert first == again[:4]
    assert len({gpu.uuid for gpu in again + elsewhere}) == 12


async def test_they_look_like_gpus_and_say_what_they_are() -> None:
    inventory: Inventory = SimulatedInventory(2, "alpha")
    gpus = await inventory.discover()
    assert [(gpu.index, gpu.name, gpu.memory_total) for gpu in gpus] == [
        (0, "Simulated GPU", 16 * 2**30),
        (1, "Simulated GPU", 16 * 2**30),
    ]
    assert all(re.fullmatch(r"GPU-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", gpu.uuid) for gpu in gpus)
    assert inventory.simulated
    assert inventory.driver == "simulated"


async def test_nobody_is_on_them() -> None:
    inventory = SimulatedInventory(2, "alpha")
    uuids = [gpu.uuid for gpu in await inventory.discover()]
    assert await inventory.sample() == dict.fromkeys(uuids, Sample(memory_used=0, utilization=0.0, processes=()))
    assert await inventory.processes(uuids[0]) == ()
    await inventory.close()


def test_there_is_no_host_without_gpus() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        SimulatedInventory(0, "alpha")
