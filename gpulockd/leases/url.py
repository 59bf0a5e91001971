"""The value of `redis.url`: which servers, which database, which user. Nothing here prints a password."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from ..ports import StartupRefused

Topology = Literal["single", "sentinel", "cluster"]

_SCHEMES: Mapping[str, tuple[Topology, bool]] = {
    "unix": ("single", False),
    "redis": ("single", False),
    "rediss": ("single", True),
    "redis+sentinel": ("sentinel", False),
    "rediss+sentinel": ("sentinel", True),
    "redis+cluster": ("cluster", False),
    "rediss+cluster": ("cluster", True),
}
"""Topology, and whether the connection is encrypted."""

_TLS_OPTIONS = frozenset({"ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs", "ssl_check_hostname"})
_SENTINEL_OPTIONS = frozenset({"sentinel_username", "sentinel_password"})

_FORMS = (
    "use redis://[USER:PASSWORD@]HOST[:PORT][/DB], rediss://... for TLS, unix:///PATH[?db=N], "
    "redis+sentinel://HOST:PORT,HOST:PORT/SERVICE[/DB] or redis+cluster://HOST:PORT,HOST:PORT; "
    "in a user or password write the signs / ? # @ : % as %2F %3F %23 %40 %3A %25"
)


@dataclass(frozen=True, slots=True)
class Target:
    """Where the leases are kept. As text it is what may be shown to people."""

    topology: Topology
    tls: bool = False
    nodes: tuple[tuple[str, int], ...] = ()
    """Host and port: of the server, of the sentinels, or of some nodes of the cluster."""
    path: str = ""
    """The Unix socket, where that is the way."""
    service: str = ""
    """The name by which sentinels know the master."""
    db: int = 0
    username: str = ""
    password: str = field(default="", repr=False)
    options: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Of TLS and of sentinels, as they stood in the URL."""

    def __str__(self) -> str:
        if self.path:
            return f"unix://{self.path}"
        scheme = "rediss" if self.tls else "redis"
        nodes = ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.nodes)
        if self.topology == "single":
            return f"{scheme}://{nodes}/{self.db}"
        return f"{scheme}+{self.topology}://{nodes}" + (f"/{self.service}" if self.service else "")


def parse(url: str) -> Target:
    """Reads `redis.url`.

    Raises `StartupRefused`, which names the key and what is wrong, and never shows a part of the URL that could
    belong to a password.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in _SCHEMES:
        raise _refused("it does not begin with a known scheme")
    topology, tls = _SCHEMES[scheme]
    try:
        parts = urlsplit(f"//{rest}")
    except ValueError:
        raise _refused("the host is malformed") from None
    if parts.fragment:
        raise _refused("it contains the sign #")
    credentials, _, hosts = parts.netloc.rpartition("@")
    username, _, password = credentials.partition(":")
    options = _options(parts, _allowed(scheme, topology, tls))
    secret = options.pop("password", "")
    if password and secret:
        raise _refused("it has two passwords")
    if scheme == "unix":
        if hosts or parts.path in ("", "/"):
            raise _refused("a Unix socket needs an absolute path, after three slashes")
        nodes: tuple[tuple[str, int], ...] = ()
        service, db = "", options.pop("db", "0")
    else:
        nodes = tuple(_node(host, 26379 if topology == "sentinel" else 6379) for host in hosts.split(","))
        service, db = _place(parts.path, topology, options.pop("db", ""))
        if topology == "single" and len(nodes) > 1:
            raise _refused(f"{scheme}:// names one server; write {scheme}+sentinel:// or {scheme}+cluster://")
    return Target(
        topology=topology,
        tls=tls,
        nodes=nodes,
        path=unquote(parts.path) if scheme == "unix" else "",
        service=service,
        db=_db(db),
        username=unquote(username),
        password=unquote(password) or secret,
        options=options,
    )


def _refused(why: str) -> StartupRefused:
    return StartupRefused(f"redis.url cannot be used: {why}", _FORMS)


def _allowed(scheme: str, topology: Topology, tls: bool) -> frozenset[str]:
    allowed = _TLS_OPTIONS if tls else frozenset[str]()
    if topology == "sentinel":
        allowed |= _SENTINEL_OPTIONS
    if scheme == "unix":
        allowed |= {"password"}
    return allowed if topology == "cluster" else allowed | {"db"}


def _options(parts: SplitResult, allowed: frozenset[str]) -> dict[str, str]:
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    options = dict(pairs)
    if len(options) < len(pairs):
        raise _refused("an option after the ? stands there twice")
    if options.keys() - allowed:
        known = ", ".join(sorted(allowed)) or "none"
        raise _refused(f"an option after the ? is not known here (known: {known})")
    return options


def _node(text: str, default_port: int) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        raise _refused("a port is not a number up to 65535, or a host is malformed") from None
    if not host or parts.path:
        raise _refused("a host is missing")
    return unquote(host), default_port if port is None else port


def _place(path: str, topology: Topology, db: str) -> tuple[str, str]:
    """Service and database, from what follows the hosts."""
    names = [unquote(name) for name in path.split("/")[1:] if name]
    service = ""
    if topology == "sentinel":
        if not names:
            raise _refused("the name by which the sentinels know the master is missing after the hosts")
        service = names.pop(0)
    if len(names) > (0 if topology == "cluster" else 1):
        raise _refused(
            "there is too much after the hosts" + (" (a cluster has no databases)" * (topology == "cluster"))
        )
    if names and db:
        raise _refused("it names the database twice")
    return service, names[0] if names else db or "0"


def _db(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise _refused("the database is not a number")
    return int(text)
