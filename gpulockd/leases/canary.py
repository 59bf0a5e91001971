"""One canary for all hosts that share a Redis: what they have agreed on, and how they hear of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, cast

from ..ports import Standing
from .identity import Identity
from .scripts import RenewReply, Scripts

Heard = Callable[[int], Awaitable[None]]
"""Told the revision that stands; 0: none does."""


class WithinDeadline(Protocol):
    def __call__(self, operation: Awaitable[Any]) -> Awaitable[Any]: ...


class RedisCanary:
    """Implements `ports.SharedCanary`. Costs no command of its own but where somebody changes a canary."""

    def __init__(self, scripts: Scripts, identity: Identity, within_deadline: WithinDeadline) -> None:
        self._scripts = scripts
        self._identity = identity
        self._within_deadline = within_deadline
        self._heard: Heard | None = None
        self._use: Callable[[float], None] = lambda _: None
        self._sample: tuple[float, float] | None = None
        self._hearing: asyncio.Task[None] | None = None

    def watch(self, heard: Heard, use: Callable[[float], None]) -> None:
        """Who is told of revisions, and of the share of a processor that Redis takes."""
        self._heard, self._use = heard, use

    async def put(self, change: str, based_on: int, document: bytes, lasts: float, endless: bool) -> Standing:
        put = self._scripts.canary_put(self._identity, change, based_on, document, lasts, endless)
        return cast(Standing, await self._within_deadline(put))

    async def standing(self) -> Standing | None:
        return cast(Standing | None, await self._within_deadline(self._scripts.canary_read()))

    def beat(self, reply: RenewReply) -> None:
        """What a heartbeat brought."""
        self.hear(reply.canary)
        if reply.cpu is None:
            self._sample = None
            return
        before, self._sample = self._sample, (reply.cpu, reply.at)
        if before is not None and reply.at > before[1] and reply.cpu >= before[0]:
            self._use((reply.cpu - before[0]) / (reply.at - before[1]))

    def hear(self, revision: int) -> None:
        """One at a time: what comes meanwhile comes again with the next heartbeat."""
        if self._heard is not None and (self._hearing is None or self._hearing.done()):
            self._hearing = asyncio.ensure_future(self._heard(revision))

    async def close(self) -> None:
        if self._hearing is not None:
            self._hearing.cancel()
            await asyncio.gather(self._hearing, return_exceptions=True)
