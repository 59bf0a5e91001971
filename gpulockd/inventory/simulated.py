"""GPUs that are not there, for a demonstration, for tests and for machines without a driver."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from ..core.model import GpuIdentity, GpuProcess, Sample

MEMORY = 16 * 2**30
_NAMESPACE = uuid.UUID("b3c1f6d2-6f0e-5c8a-9b57-2f1d0a7c4e90")


class SimulatedInventory:
    """`count` GPUs with UUIDs that are the same at every start on the host of that name, and on no other.

    Nobody is ever on them: a lock on one leaves nothing behind, so none stays in quarantine.
    """

    simulated = True
    driver = "simulated"

    def __init__(self, count: int, host: str) -> None:
        if count < 1:
            raise ValueError(f"{count} simulated GPUs are too few: at least 1")
        self._gpus = tuple(
            GpuIdentity(f"GPU-{uuid.uuid5(_NAMESPACE, f'{host}/{index}')}", index, "Simulated GPU", MEMORY)
            for index in range(count)
        )

    async def discover(self) -> tuple[GpuIdentity, ...]:
        return self._gpus

    async def sample(self) -> Mapping[str, Sample]:
        return {gpu.uuid: Sample(memory_used=0, utilization=0.0, processes=()) for gpu in self._gpus}

    async def processes(self, gpu: str) -> tuple[GpuProcess, ...]:  # noqa: ARG002  # the port's form
        return ()

    async def close(self) -> None:
        """There is nothing to let go of."""
