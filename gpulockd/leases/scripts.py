"""The Lua scripts as typed functions. Names of keys and the order of arguments are known here, and nowhere else."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from redis.exceptions import InvalidResponse, NoScriptError

from ..ports import CANARY_REMEMBERED, Standing, StartupRefused
from .client import Client
from .identity import Identity

PERMISSIONS = (
    "+evalsha +eval +info +time +get +set +del +pttl +pexpire +hset +hget +hmget +hdel "
    "+zadd +zrem +zrangebyscore +publish +subscribe +select"
)
"""Every command that a daemon's user needs, as ACL rules. For a cluster add `+cluster +command`."""

_CANARY_TTL = round(1000 * CANARY_REMEMBERED)
"""Milliseconds."""
_NAMESPACE = re.compile(r"[^\s{}]+")


class Keys:
    """Where everything is. One hash tag keeps all of it on one node of a cluster."""

    def __init__(self, namespace: str) -> None:
        """Raises `StartupRefused` for a namespace that would break the hash tag."""
        if not _NAMESPACE.fullmatch(namespace):
            raise StartupRefused(
                f"redis.namespace cannot be {namespace!r}", "use a name without blanks and braces, like gpulockd"
            )
        prefix = f"{namespace}:{{leases}}"
        self._prefix = prefix
        self.heard = f"{prefix}:fleet:heard"
        self.snapshots = f"{prefix}:fleet:snapshots"
        self.canary = f"{prefix}:canary"
        self.released = f"{prefix}:released"
        """The channel on which released GPUs are told."""

    def lease(self, gpu: str) -> str:
        return f"{self._prefix}:lease:{gpu}"

    def counter(self, gpu: str) -> str:
        return f"{self._prefix}:epoch:{gpu}"


class Script:
    """One file of `lua/`, called by its digest, and by its text where the server does not have it (any more)."""

    def __init__(self, name: str) -> None:
        self._text = (resources.files(__package__) / "lua" / f"{name}.lua").read_bytes()
        self._digest = hashlib.sha1(self._text, usedforsecurity=False).hexdigest()

    async def __call__(self, client: Client, keys: Sequence[str], arguments: Sequence[str | bytes | int]) -> Any:
        with contextlib.suppress(NoScriptError):
            return await client.execute_command("EVALSHA", self._digest, len(keys), *keys, *arguments)
        return await client.execute_command("EVAL", self._text, len(keys), *keys, *arguments)


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease as it stands in Redis."""

    holder: Identity
    epoch: int
    expires_in: float
    """Seconds; infinite for one that somebody made to last."""


@dataclass(frozen=True, slots=True)
class ClaimReply:
    policy: str
    """The server's `maxmemory-policy`; empty where it may not be asked. Unless `noeviction`, nothing was done."""
    granted: Mapping[str, int]
    refused: Mapping[str, Lease]


@dataclass(frozen=True, slots=True)
class RenewReply:
    lost: Mapping[str, Lease | None]
    unpublished: str
    """Why the snapshot could not be published; empty if it was."""
    canary: int
    """Its revision; 0: there is none."""
    cpu: float | None
    """Seconds of processor that the server has used; None where that was not asked, or may not be."""
    at: float
    """Seconds, by the server's clock."""


@dataclass(frozen=True, slots=True)
class Heard:
    """One host of the fleet."""

    host: str
    age: float
    """Seconds since it was heard of, by the server's clock."""
    snapshot: bytes


class Scripts:
    """The operations on the leases and on what the hosts share, one script each."""

    def __init__(self, client: Client, keys: Keys, ttl: float, snapshot_ttl: float) -> None:
        """Times are in seconds."""
        self._client = client
        self._keys = keys
        self._ttl = round(ttl * 1000)
        self._snapshot_ttl = round(snapshot_ttl * 1000)
        self._claim, self._renew = Script("claim"), Script("renew")
        self._release, self._fleet = Script("release"), Script("fleet")
        self._canary_put, self._canary_read = Script("canary_put"), Script("canary_read")

    async def claim(
        self,
        daemon: Identity,
        attempt: int,
        gpus: Sequence[str],
        floor: int,
        held: Sequence[str] = (),
        *,
        instead_of: Mapping[str, Lease],
    ) -> ClaimReply:
        """Grants every GPU that nobody has, or that exactly the lease in `instead_of` has."""
        keys: list[str] = []
        arguments: list[str | int] = [json.dumps(daemon.document()), attempt, floor, self._ttl]
        for gpu in gpus:
            keys += (self._keys.lease(gpu), self._keys.counter(gpu))
            dead = instead_of.get(gpu)
            arguments += (dead.holder.instance, dead.epoch) if dead else ("", 0)
        keys += map(self._keys.counter, held)
        policy, granted, refused = await self._claim(self._client, keys, arguments)
        return ClaimReply(
            policy=policy.decode(),
            granted={gpus[place - 1]: epoch for place, epoch in _groups(granted, 2)},
            refused={gpus[place - 1]: _lease(stored, left) for place, stored, left in _groups(refused, 3)},
        )

    async def renew(self, daemon: Identity, epochs: Mapping[str, int], snapshot: bytes) -> RenewReply:
        """Extends the leases of these epochs, and publishes the snapshot."""
        gpus = list(epochs)
        unpublished, lost, canary, cpu, at = await self._renew(
            self._client,
            [self._keys.heard, self._keys.snapshots, self._keys.canary, *map(self._keys.lease, gpus)],
            [
                *(daemon.instance, self._ttl, daemon.host, snapshot, self._snapshot_ttl, _CANARY_TTL),
                *epochs.values(),
            ],
        )
        return RenewReply(
            lost={
                gpus[place - 1]: _lease(stored, left) if stored else None for place, stored, left in _groups(lost, 3)
            },
            unpublished=unpublished.decode(),
            canary=canary,
            cpu=float(cpu) if cpu else None,
            at=at / 1000,
        )

    async def release(self, daemon: Identity, epochs: Mapping[str, int]) -> str:
        """Ends the leases of these epochs. Returns why that could not be told to others; empty if it was."""
        keys: list[str] = []
        arguments: list[str | int] = [daemon.instance, self._keys.released]
        for gpu, epoch in epochs.items():
            keys += (self._keys.lease(gpu), self._keys.counter(gpu))
            arguments += (epoch, gpu)
        untold: bytes = await self._release(self._client, keys, arguments)
        return untold.decode()

    async def fleet(self) -> list[Heard]:
        """Every host that published a snapshot which has not ended."""
        reply = await self._fleet(self._client, [self._keys.heard, self._keys.snapshots], [self._snapshot_ttl])
        return [Heard(host.decode(), age / 1000, snapshot) for host, age, snapshot in _groups(reply, 3)]

    async def canary_put(
        self, daemon: Identity, change: str, based_on: int, document: bytes, lasts: float, endless: bool
    ) -> Standing:
        """Puts a revision after `based_on`, for `lasts` seconds, unless there is a later one."""
        ours, stands = await self._canary_put(
            self._client,
            [self._keys.canary],
            [
                *(change, based_on, document, round(lasts * 1000), int(endless)),
                *(self._keys.released, daemon.instance),
            ],
        )
        return _canary(bool(ours), *stands)

    async def canary_read(self) -> Standing | None:
        stands = await self._canary_read(self._client, [self._keys.canary], [])
        return _canary(False, *stands) if stands else None


def _canary(ours: bool, revision: int, document: bytes, milliseconds_left: int, endless: int) -> Standing:
    left = float("inf") if endless else max(0, milliseconds_left) / 1000
    return Standing(document, revision, left, ours)


def _groups(flat: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(flat), size):
        yield flat[start : start + size]


def _lease(stored: bytes, milliseconds_left: int) -> Lease:
    try:
        document = json.loads(stored)
        holder, epoch = Identity.from_document(document), int(document["epoch"])
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidResponse(f"a lease that no gpulockd wrote: {stored!r}") from error
    return Lease(holder, epoch, milliseconds_left / 1000 if milliseconds_left >= 0 else float("inf"))


@dataclass(frozen=True, slots=True)
class Told:
    """What a daemon tells the others: the GPUs that it has released, or the revision of a canary."""

    instance: str
    gpus: frozenset[str] = frozenset()
    canary: int = 0

    @classmethod
    def parse(cls, message: bytes) -> Told | None:
        """None for a message that no gpulockd sent."""
        try:
            document = json.loads(message)
            if "canary" in document:
                return cls(str(document["instance"]), canary=int(document["canary"]))
            return cls(str(document["instance"]), frozenset(map(str, document["gpus"])))
        except (ValueError, KeyError, TypeError):
            return None
