"""Counts how the requests of both sides of a canary end, on this host, and how busy Redis is meanwhile."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Mapping

from ..core.canary import (
    CANDIDATE,
    IN_A_ROW,
    VARIANTS,
    Outcomes,
    Thresholds,
    canary_and_variant,
    harm,
    outcome_of,
)


class Watch:
    """Of one canary."""

    def __init__(self, canary: str, outcomes: Mapping[str, Outcomes]) -> None:
        """`outcomes` are those that an earlier daemon has counted."""
        self.canary = canary
        self._outcomes = {variant: dataclasses.replace(outcomes[variant]) for variant in VARIANTS}
        self._cpu: deque[float] = deque(maxlen=IN_A_ROW)

    @property
    def outcomes(self) -> dict[str, Outcomes]:
        """As they are now; what is counted later changes nothing about them."""
        return {variant: dataclasses.replace(self._outcomes[variant]) for variant in VARIANTS}

    def count(self, variant: str, kind: str, code: object) -> bool:
        """Whether something of this canary was counted: `variant` as a wish has it, `kind` as it was announced."""
        canary, side = canary_and_variant(variant)
        if canary != self.canary:
            return False
        outcomes = self._outcomes[side]
        match outcome_of(kind, code):
            case "granted":
                outcomes.granted += 1
            case "timeout":
                outcomes.timed_out += 1
            case "refused":
                outcomes.failed += 1
            case _:
                return False
        return True

    def use_of_redis(self, share: float) -> None:
        self._cpu.append(share)

    def harm(self, thresholds: Thresholds) -> str | None:
        return harm(self._outcomes[CANDIDATE], tuple(self._cpu), thresholds)
