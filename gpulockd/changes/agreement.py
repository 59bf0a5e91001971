"""What several hosts agree on about a canary, as records instead of bytes."""

from __future__ import annotations

import dataclasses
import logging
import math

from ..core.canary import Course
from ..ports import CANARY_REMEMBERED, Clock, SharedCanary, Standing
from .canaryfile import Record, from_shared

log = logging.getLogger(__name__)


class Agreement:
    """A `SharedCanary` that speaks of records. Every method raises `Unavailable`."""

    def __init__(self, shared: SharedCanary, clock: Clock) -> None:
        self._shared = shared
        self._clock = clock

    async def propose(self, record: Record, based_on: int) -> tuple[Record | None, bool]:
        """What stands now, and whether it is `record`; None for what cannot be read."""
        now = self._clock.now()
        change = f"{record.id} {record.course} {record.percent:g}"
        standing = await self._shared.put(change, based_on, record.shared(now), *_lasts(record, now))
        if standing.ours:
            return dataclasses.replace(record, revision=standing.revision, pending=False), True
        return self._read(standing), False

    async def standing(self) -> Record | None:
        """None where nothing stands, or nothing that can be read."""
        standing = await self._shared.standing()
        return None if standing is None else self._read(standing)

    def _read(self, standing: Standing) -> Record | None:
        now, boot_id = self._clock.now(), self._clock.boot_id
        try:
            return from_shared(standing.document, standing.revision, standing.left, now, boot_id)
        except ValueError as error:
            log.error("what the hosts share about a canary cannot be read: %s", error)
            return None


def _lasts(record: Record, now: float) -> tuple[float, bool]:
    """For how many seconds the hosts remember it, and whether each heartbeat renews that."""
    if record.course is not Course.RUNNING:
        return CANARY_REMEMBERED, False
    endless = math.isinf(record.ends_at)
    return CANARY_REMEMBERED if endless else max(1.0, record.ends_at - now), endless
