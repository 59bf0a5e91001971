"""Daemons' leases on real servers of all three families, and what must hold after every test."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from gpulockd.leases.identity import Identity
from gpulockd.leases.redis import RedisLeases
from tests.support.valkey import FLAVOURS, Valkey

NewDaemon = Callable[..., RedisLeases]


@pytest.fixture(scope="session", params=FLAVOURS)
def family(request: pytest.FixtureRequest) -> Iterator[Valkey]:
    """One server of each family for all tests. Use `server`, which is clean."""
    with Valkey(request.param) as server:
        yield server


@pytest.fixture
def server(family: Valkey) -> Valkey:
    """An empty server."""
    with family.client() as client:
        client.flushall()
    return family


@pytest.fixture(autouse=True)
def everything_has_an_end(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever a test leaves in its server expires, but for the epoch counters."""
    names = {"server", "own_server", "cluster_node"} & set(request.fixturenames)
    servers: list[Valkey] = [request.getfixturevalue(name) for name in sorted(names)]
    yield
    for used in servers:
        assert lasting(used) == []


def lasting(server: Valkey) -> list[str]:
    """Keys that stay for ever and are no epoch counter."""
    with server.client() as client:
        keys = [key for key in client.scan_iter() if b":epoch:" not in key]
        return [key.decode() for key in keys if client.pttl(key) == -1]


def identity(host: str = "host-a", **changes: Any) -> Identity:
    """Another run of a daemon, in this living process unless `changes` say otherwise."""
    return dataclasses.replace(Identity.of_this_process(host), **changes)


@pytest.fixture
async def daemons() -> AsyncIterator[NewDaemon]:
    """Makes the leases of a daemon on a server or URL; each call is another run, as if on another host."""
    made: list[RedisLeases] = []

    def new(
        where: Valkey | str,
        host: str = "host-a",
        *,
        ttl: float = 15.0,
        timeout: float = 5.0,
        who: Identity | None = None,
        password_file: str = "",
    ) -> RedisLeases:
        url = where if isinstance(where, str) else where.url
        leases = RedisLeases(url, "gpulockd", ttl, timeout, who or identity(host), password_file)
        made.append(leases)
        return leases

    yield new
    for leases in made:
        await leases.close()


@pytest.fixture
def new_daemon(daemons: NewDaemon, server: Valkey) -> NewDaemon:
    """`daemons` on `server`."""

    def new(host: str = "host-a", **options: Any) -> RedisLeases:
        return daemons(server, host, **options)

    return new
