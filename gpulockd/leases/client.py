"""The Redis client for a target: its timeouts and retries are set here, and only here.

redis-py retries by default, and would so replay a script that timed out. Nothing is retried below the operation
of `RedisLeases`: who repeats what, and when, is the core's to decide.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, Protocol, cast

from redis.asyncio import Redis
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.credentials import CredentialProvider
from redis.exceptions import AuthenticationError

from ..ports import StartupRefused
from .url import Target

_FALSE = frozenset({"0", "f", "false", "n", "no"})


class Subscription(Protocol):
    """What is used of a redis-py `PubSub`."""

    async def subscribe(self, *channels: str) -> None: ...

    async def get_message(
        self, ignore_subscribe_messages: bool = ..., timeout: float | None = ...
    ) -> dict[str, Any] | None: ...

    async def aclose(self) -> None: ...


class Client(Protocol):
    """What is used of redis-py, alike for one server, sentinels and a cluster."""

    async def initialize(self) -> object: ...

    async def execute_command(self, *args: str | bytes | int) -> Any: ...

    def pubsub(self) -> Subscription: ...

    async def aclose(self) -> None: ...


def open_client(target: Target, password_file: str, timeout: float) -> Client:
    """A client that connects when it is first used, and again when it has to.

    `timeout` is the number of seconds of a whole operation. Raises `StartupRefused` where the password file or
    a TLS option is unusable.
    """
    # The operation has its own deadline. These limits are for the way to it through several nodes, and for the case
    # that redis-py loses the cancellation by which that deadline ends things.
    options: dict[str, Any] = {
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
        "driver_info": None,  # No CLIENT SETINFO: a round trip for each connection, and an ACL may forbid it.
        **_credentials(target, password_file),
        **_tls(target),
    }
    if target.topology == "cluster":
        return _cluster(target, options, timeout)
    options["db"] = target.db
    if target.topology == "sentinel":
        return _behind_sentinels(target, options, timeout)
    if target.path:
        return cast(Client, Redis(unix_socket_path=target.path, **options))
    [(host, port)] = target.nodes
    return cast(Client, Redis(host=host, port=port, **options))


def _cluster(target: Target, options: dict[str, Any], timeout: float) -> Client:
    # A silent node gets half of the time, so that the operation ends with its fault and the next one asks another.
    options |= {"socket_timeout": timeout / 2, "socket_connect_timeout": timeout / 2}
    nodes = [ClusterNode(host, port) for host, port in target.nodes]
    return cast(Client, RedisCluster(startup_nodes=nodes, require_full_coverage=False, **options))


class _Sentinels(Sentinel):
    """Sentinels that may be asked by several tasks at once: redis-py reorders the list that it walks along."""

    async def discover_master(self, service_name: str) -> tuple[str, int]:
        asking = copy.copy(self)
        asking.sentinels = list(self.sentinels)
        master: tuple[str, int] = await Sentinel.discover_master(asking, service_name)
        self.sentinels = asking.sentinels
        return master


class _MasterPool(SentinelConnectionPool):
    """Connections to the master, which close those to the sentinels with them."""

    async def aclose(self) -> None:
        await super().aclose()
        await self.sentinel_manager.aclose()


def _behind_sentinels(target: Target, options: dict[str, Any], timeout: float) -> Client:
    # They are asked one after the other: silent ones must leave time for the next, and for the master.
    share = timeout / (len(target.nodes) + 1)
    sentinel_options = {
        "socket_timeout": share,
        "socket_connect_timeout": share,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
        "driver_info": None,
        "username": target.options.get("sentinel_username"),
        "password": target.options.get("sentinel_password"),
        **_tls(target),
    }
    sentinels = _Sentinels(  # type: ignore[no-untyped-call]
        target.nodes, sentinel_kwargs=sentinel_options, **options
    )
    return cast(Client, sentinels.master_for(target.service, connection_pool_class=_MasterPool))


def _tls(target: Target) -> dict[str, Any]:
    if not target.tls:
        return {}
    tls: dict[str, Any] = {name: value for name, value in target.options.items() if name.startswith("ssl_")}
    for name in ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile"):
        if name in tls and not Path(tls[name]).is_file():
            raise StartupRefused(f"redis.url cannot be used: {name} names no file: {tls[name]}", "correct the path")
    if tls.get("ssl_cert_reqs", "required") not in ("none", "optional", "required"):
        raise StartupRefused(
            "redis.url cannot be used: ssl_cert_reqs is something else", "use none, optional or required"
        )
    if "ssl_check_hostname" in tls:
        tls["ssl_check_hostname"] = tls["ssl_check_hostname"].lower() not in _FALSE
    return {"ssl": True, **tls}


def _credentials(target: Target, password_file: str) -> dict[str, Any]:
    if not password_file:
        return {"username": target.username or None, "password": target.password or None}
    if target.password:
        raise StartupRefused("redis.password_file is set, and redis.url has a password too", "take one of them away")
    credentials = _PasswordFile(target.username, Path(password_file))
    try:
        credentials.get_credentials()
    except AuthenticationError as error:
        raise StartupRefused(str(error), "correct the path, or let the daemon's user read the file") from error
    return {"credential_provider": credentials}


class _PasswordFile(CredentialProvider):
    """Reads the password for each new connection: it can be changed while the daemon runs."""

    def __init__(self, username: str, path: Path) -> None:
        self._username = username
        self._path = path

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        # An error of redis-py's own makes it close the connection that could not be authenticated.
        try:
            password = self._path.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise AuthenticationError(f"redis.password_file cannot be read: {error}") from error
        if not password:
            raise AuthenticationError(f"redis.password_file is empty: {self._path}")
        return (self._username, password) if self._username else (password,)

    async def get_credentials_async(self) -> tuple[str] | tuple[str, str]:
        return self.get_credentials()
