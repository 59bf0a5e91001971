"""A pretended driver with three GPUs, which the NVML workers of these tests find."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from gpulockd.inventory.nvidia import NvmlInventory
from tests.support.fake_nvml import FakeNvml

TIMEOUT = 2.0
"""Seconds: longer than a busy machine takes for what should take none."""


@pytest.fixture
def nvml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeNvml:
    nvml = FakeNvml(tmp_path, gpus=3)
    for name, value in nvml.environment().items():
        monkeypatch.setenv(name, value)
    return nvml


@pytest_asyncio.fixture
async def inventory(nvml: FakeNvml) -> AsyncIterator[NvmlInventory]:
    inventory = NvmlInventory(timeout=TIMEOUT)
    yield inventory
    await inventory.close()
