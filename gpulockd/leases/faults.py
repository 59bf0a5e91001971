"""What went wrong with Redis, in words: the cause, and what to do about it."""

from __future__ import annotations

import errno
import re
import ssl
from collections.abc import Iterator, Mapping

from redis.asyncio.sentinel import MasterNotFoundError
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ClusterError,
    ConnectionError as RedisConnectionError,
    MasterDownError,
    MaxConnectionsError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    TimeoutError as RedisTimeoutError,
)

from ..ports import Unavailable
from .scripts import PERMISSIONS

FAULTS = (RedisError, RedisClusterException, OSError)
"""Everything that redis-py raises for a server that does not work, and `TimeoutError` of the deadline itself."""

_CLASSES: Mapping[type[Exception], str] = {
    AuthenticationError: "AUTH",
    BusyLoadingError: "LOADING",
    MasterNotFoundError: "NOMASTER",
    MaxConnectionsError: "CONNECTIONS",
    NoPermissionError: "NOPERM",
    OutOfMemoryError: "OOM",
    ReadOnlyError: "READONLY",
    RedisTimeoutError: "TIMEOUT",
    TimeoutError: "TIMEOUT",
    MasterDownError: "MASTERDOWN",
    ClusterError: "CLUSTERDOWN",
    RedisClusterException: "CLUSTERDOWN",
}
_PATTERNS: Mapping[str, re.Pattern[str]] = {
    "NOPERM": re.compile(r"ACL failure|NOPERM|can't run this command|No permissions? to"),
    "AUTH": re.compile(
        r"NOAUTH|WRONGPASS|(?i:authentication required|invalid password)|without any password|unauthenticated"
    ),
    "COMMANDS": re.compile(r"unknown command|Unknown Redis command", re.IGNORECASE),
    "CONNECTIONS": re.compile(r"max number of clients", re.IGNORECASE),
    "TLS": re.compile(r"\[SSL"),
}
"""For errors that come as plain text, or out of a script, where each server words them in its own way."""
_ERRNO = re.compile(r"Error (-?\d+) connecting to")
"""In redis-py's words, for where the system's error itself does not come along (uvloop)."""
_ERRNOS: Mapping[int | None, str] = {
    errno.ECONNREFUSED: "REFUSED",
    errno.ENOENT: "NOSOCKET",
    errno.EACCES: "NOACCESS",
    errno.ETIMEDOUT: "TIMEOUT",
    errno.EMFILE: "DESCRIPTORS",
    errno.ENFILE: "DESCRIPTORS",
}
_GENERAL = frozenset({"NETWORK"})
"""What redis-py wraps around other errors: it counts where nothing else tells more."""
_CODE = re.compile(r"(?:^|-|: )(READONLY|OOM|MISCONF|NOREPLICAS|MASTERDOWN|CLUSTERDOWN|LOADING|BUSY|WRONGTYPE)\b")

_TALES: Mapping[str, tuple[str, str]] = {
    "TIMEOUT": (
        "gave no answer within {timeout:g} s",
        "see whether it runs, is overloaded, frozen, or cut off from this host",
    ),
    "AUTH": (
        "does not accept the user or password ({detail})",
        "correct the user and password in redis.url, or redis.password_file",
    ),
    "NOPERM": (
        "does not permit what a lease needs ({detail})",
        f"permit it: ACL SETUSER USER ~NAMESPACE:* &NAMESPACE:* {PERMISSIONS}",
    ),
    "READONLY": (
        "is a read-only replica",
        "let redis.url name the master, or its sentinels (redis+sentinel://)",
    ),
    "OOM": (
        "is out of memory (maxmemory)",
        "raise maxmemory, or give the leases a server of their own",
    ),
    "MISCONF": (
        "refuses to write because it could not save to disk",
        "free its disk; its own log tells more",
    ),
    "NOREPLICAS": (
        "refuses to write because too few replicas follow it (min-replicas-to-write)",
        "bring its replicas back",
    ),
    "MASTERDOWN": (
        "is a replica that has lost its master",
        "let redis.url name the master, or its sentinels (redis+sentinel://)",
    ),
    "CLUSTERDOWN": (
        "is a cluster that does not serve the leases' slot ({detail})",
        "see `redis-cli --cluster check`, and that redis.url names its nodes",
    ),
    "NOMASTER": (
        "has no master that a sentinel knows, or no sentinel answers",
        "see `redis-cli -p 26379 SENTINEL MASTERS`, and that redis.url ends with the master's name",
    ),
    "LOADING": ("is still loading its data", "wait; nothing needs to be done"),
    "BUSY": ("is busy with somebody's script", "end it with SCRIPT KILL"),
    "COMMANDS": (
        "does not know a command that leases need ({detail})",
        "use Redis 6.0 or later, or Valkey, without renamed commands",
    ),
    "CONNECTIONS": ("has no connection left ({detail})", "raise its maxclients, or find who holds them all"),
    "WRONGTYPE": (
        "has other data under the keys of the leases",
        "choose another redis.namespace, or remove those keys",
    ),
    "REFUSED": ("refuses the connection: nothing listens there", "start it, or correct redis.url"),
    "NOSOCKET": ("has no such socket", "start it, or correct redis.url"),
    "NOACCESS": ("may not be connected to by this user", "let the daemon's user open the socket"),
    "DESCRIPTORS": (
        "cannot be connected to: this daemon has no file descriptor left",
        "raise LimitNOFILE=, or lower daemon.max_sessions",
    ),
    "NONAME": ("has a host name that cannot be resolved ({detail})", "correct redis.url, or the name service"),
    "TLS": ("could not agree on TLS ({detail})", "check rediss:// and the ssl_ options in redis.url"),
    "NETWORK": ("cannot be reached ({detail})", "see whether it runs and this host can reach it"),
    "OTHER": ("answered with an error ({detail})", "see its log"),
}


def explain(error: BaseException, server: object, timeout: float) -> Unavailable:
    """The error as people and the core should see it; `server` is where, without a password."""
    kind, telling = min(
        ((kind, link) for link in _chain(error) if (kind := _kind(link))),
        key=lambda found: found[0] in _GENERAL,
        default=("OTHER", error),
    )
    cause, advice = _TALES[kind]
    detail = " ".join(str(telling).split()) or type(telling).__name__
    return Unavailable(f"Redis ({server}) {cause.format(timeout=timeout, detail=detail)}; {advice}", kind.lower())


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error, what it was raised from, and so on: redis-py wraps the telling one into a general one."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _kind(error: BaseException) -> str | None:
    match error:
        case ssl.SSLError():
            return "TLS"
        case TimeoutError():
            return "TIMEOUT"
        case OSError():
            return _kind_of_errno(error.errno)
    for known, kind in _CLASSES.items():
        if isinstance(error, known):
            return kind
    text = str(error)
    if code := _CODE.search(text):
        return code[1]
    for kind, pattern in _PATTERNS.items():
        if pattern.search(text):
            return kind
    if number := _ERRNO.match(text):
        return _kind_of_errno(int(number[1]))
    return "NETWORK" if isinstance(error, RedisConnectionError) else None


def _kind_of_errno(number: int | None) -> str:
    if number is not None and number < 0:  # Of getaddrinfo(3).
        return "NONAME"
    return _ERRNOS.get(number, "NETWORK")
