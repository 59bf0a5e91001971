"""Every work, in the order in which it is done and shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.cells import Work
from bench.works import uncontended

WORKS: Sequence[Work] = (uncontended.WORK,)
BY_NAME: Mapping[str, Work] = {work.name: work for work in WORKS}

GATE: Sequence[str] = ("uncontended",)
"""What the quick run does."""
