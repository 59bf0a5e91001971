"""Leases in Redis: each operation is one script within one deadline, and never a second try on its own.

Who may have what is decided by the core; the scripts commit it, guarded by the daemon's instance and epoch.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Mapping, Sequence
from typing import TypeVar

import msgpack

from ..core.model import LeaseHolder
from ..ports import Claimed, Post, Renewed, Unavailable
from . import url as redis_url
from .announcements import Announcements
from .canary import RedisCanary
from .cancellation import heeding_cancellation
from .client import open_client
from .faults import FAULTS, explain
from .identity import Identity
from .scripts import ClaimReply, Heard, Keys, Lease, Scripts

SNAPSHOT_TTLS = 4
"""A host is listed for so many lifetimes of a lease after it was last heard of: long enough to be missed."""

log = logging.getLogger(__name__)
Reply = TypeVar("Reply")


class RedisLeases:
    """The port `Leases` on a Redis or Valkey server, behind sentinels, or a cluster."""

    kind = "redis"

    def __init__(
        self,
        url: str,
        namespace: str,
        ttl: float,
        operation_timeout: float,
        identity: Identity,
        password_file: str = "",
    ) -> None:
        """Connects to nothing yet. Times are in seconds.

        Raises `StartupRefused` for a URL, a namespace or a password file that can never work.
        """
        self._target = redis_url.parse(url)
        keys = Keys(namespace)
        self.ttl = ttl
        self._timeout = operation_timeout
        self._identity = identity
        self._client = open_client(self._target, password_file, operation_timeout)
        self._scripts = Scripts(self._client, keys, ttl, SNAPSHOT_TTLS * ttl)
        self.canary = RedisCanary(self._scripts, identity, self._within_deadline)
        self._announcements = Announcements(
            *(self._client, keys.released, identity.instance, self._target, operation_timeout, self.canary.hear)
        )
        self._warnings: dict[str, str] = {}

    async def claim(self, attempt: int, gpus: Sequence[str], floor: int, held: Sequence[str] = ()) -> Claimed:
        reply = await self._within_deadline(self._claim(attempt, gpus, floor, held))
        self._check_eviction(reply.policy)
        return Claimed(
            epochs=reply.granted,
            refused={gpu: _holder(lease) for gpu, lease in reply.refused.items()},
        )

    async def _claim(self, attempt: int, gpus: Sequence[str], floor: int, held: Sequence[str]) -> ClaimReply:
        reply = await self._scripts.claim(self._identity, attempt, gpus, floor, held, instead_of={})
        # A daemon that was killed and started again need not wait for the end of its own earlier leases.
        dead = {gpu: lease for gpu, lease in reply.refused.items() if self._identity.knows_dead(lease.holder)}
        if dead:
            for gpu, lease in dead.items():
                log.info("taking over the lease of %s: its holder, pid %d, is dead", gpu, lease.holder.process.pid)
            reply = await self._scripts.claim(self._identity, attempt, gpus, floor, held, instead_of=dead)
        return reply

    async def renew(self, attempt: int, epochs: Mapping[str, int], snapshot: Mapping[str, object]) -> Renewed:  # noqa: ARG002
        """Renewing twice is harmless, so `attempt` is not looked at."""
        packed: bytes = msgpack.packb(snapshot)
        reply = await self._within_deadline(self._scripts.renew(self._identity, epochs, packed))
        self.canary.beat(reply)
        self._warn("snapshot", reply.unpublished, "the fleet does not hear of this host")
        return Renewed(
            kept=frozenset(epochs.keys() - reply.lost.keys()),
            lost={gpu: _holder(lease) if lease else None for gpu, lease in reply.lost.items()},
        )

    async def release(self, epochs: Mapping[str, int]) -> None:
        if not epochs:
            return
        untold = await self._within_deadline(self._scripts.release(self._identity, epochs))
        self._warn("release", untold, "daemons that wait for these GPUs find them only by polling")

    async def fleet(self) -> list[Mapping[str, object]]:
        heard = await self._within_deadline(self._scripts.fleet())
        return [host for host in map(_snapshot, heard) if host is not None]

    async def listen(self, post: Post) -> None:
        await self._announcements.listen(post)

    async def close(self) -> None:
        """Does not fail: a server that is away need not hear of it."""
        await self.canary.close()
        with contextlib.suppress(*FAULTS):
            async with asyncio.timeout(self._timeout):
                await self._client.aclose()

    async def _within_deadline(self, operation: Awaitable[Reply]) -> Reply:
        with heeding_cancellation():
            try:
                async with asyncio.timeout(self._timeout):
                    return await operation
            except FAULTS as error:
                raise explain(error, self._target, self._timeout) from error

    def _check_eviction(self, policy: str) -> None:
        unknown = "" if policy else "INFO is not permitted to the daemon's user"
        self._warn("policy", unknown, "whether Redis may evict leases is unknown (maxmemory-policy)")
        if policy not in ("", "noeviction"):
            raise Unavailable(
                f"Redis ({self._target}) may drop a lease while it is held, to make room for other data: its "
                f"maxmemory-policy is {policy}; CONFIG SET maxmemory-policy noeviction, "
                "or give the leases a server of their own",
                "evicting",
            )

    def _warn(self, subject: str, why: str, consequence: str) -> None:
        """Once for each new reason."""
        if why and why != self._warnings.get(subject):
            log.warning("%s: %s", consequence, why)
        self._warnings[subject] = why


def _holder(lease: Lease) -> LeaseHolder:
    return LeaseHolder(lease.holder.host, lease.holder.process.pid, lease.expires_in)


def _snapshot(heard: Heard) -> Mapping[str, object] | None:
    try:
        snapshot = msgpack.unpackb(heard.snapshot)
    except ValueError:
        snapshot = None
    if not isinstance(snapshot, dict):
        log.warning("what host %s says of itself cannot be read: %r", heard.host, heard.snapshot[:80])
        return None
    return {**snapshot, "host": heard.host, "age": heard.age}
