"""Hosts whose leases are in a Redis, with a proxy on the way that a test may spoil."""

from __future__ import annotations

import contextlib
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from anyio.from_thread import start_blocking_portal
from prometheus_client.parser import text_string_to_metric_families

from tests.leases.proxy import Proxy
from tests.support.daemon import Daemon
from tests.support.ports import free_port
from tests.support.valkey import Valkey
from tests.support.waiting import PATIENCE, wait_until

TTL = 5.0
"""The shortest that the configuration lets pass."""
TIMEOUT = 0.7
STOP = 0.55
"""Of the TTL: the age of a lease at which nothing is granted any more."""


class Site:
    """A server, a proxy before it, and hosts behind that."""

    def __init__(self, server: Valkey, directory: Path, ttl: float = TTL) -> None:
        self.server = server
        self.directory = directory
        self.ttl = ttl
        self.proxy = Proxy(server.path, directory / "proxy.sock")
        self.admin: Any = server.client()
        """A connection that was there before anything went wrong."""
        self._open = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self._portal = self._open.enter_context(start_blocking_portal())
        self._open.enter_context(self._portal.wrap_async_context_manager(self.proxy))
        self._open.callback(self.admin.close)
        self.admin.ping()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def cut(self) -> None:
        """Breaks every connection that goes through the proxy."""
        self._portal.call(self.proxy.cut)

    def host(
        self, name: str = "host", *, url: str | None = None, settings: Mapping[str, object] | None = None
    ) -> Daemon:
        """A daemon that ends with the site, and has not started. All of them have the same GPUs.

        `url`: how it reaches the server, where that is not through the proxy.
        """
        directory = self.directory / name
        directory.mkdir()
        common: dict[str, object] = {
            "daemon.host": "gpu-01",
            "redis.url": url or self.proxy.url,
            "redis.ttl": self.ttl,
            "redis.operation_timeout": TIMEOUT,
            "http.port": free_port(),
        }
        daemon = Daemon(directory, simulate=2, settings={**common, **(settings or {})})
        self._open.callback(daemon.end)
        return daemon


@contextlib.contextmanager
def site(ttl: float = TTL, **settings: str) -> Iterator[Site]:
    """`settings` of the server; a `_` stands for a `-`."""
    lines = {key.replace("_", "-"): value for key, value in settings.items()}
    with (
        tempfile.TemporaryDirectory(prefix="site-", dir="/tmp") as directory,
        Valkey(settings=lines) as server,
        Site(server, Path(directory), ttl) as made,
    ):
        yield made


def metrics(daemon: Daemon) -> dict[str, float]:
    """What a scrape gets, by `name` or `name{label=value}`."""
    samples = {}
    with urllib.request.urlopen(_address(daemon, "metrics"), timeout=10) as answer:
        for family in text_string_to_metric_families(answer.read().decode()):
            for sample in family.samples:
                labels = ",".join(f"{key}={value}" for key, value in sorted(sample.labels.items()))
                samples[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return samples


def metrics_with(daemon: Daemon, sample: str, value: float) -> dict[str, float]:
    """The first scrape with that value: what is served may be a second old."""
    return wait_until(
        lambda: found if (found := metrics(daemon))[sample] == value else {}, f"{sample} is {value:g} in a scrape"
    )


def wait_until_renewed(daemon: Daemon, *, within: float = PATIENCE) -> None:
    """For a good renewal that is sent from now on."""

    def sent() -> float:
        """Not before that, on the clock of this process."""
        asked = time.monotonic()
        age: float = daemon.status()["lease"]["age"]
        return asked - age

    now = time.monotonic()
    wait_until(lambda: sent() > now, lambda: f"the lease is renewed: {daemon.status()['lease']}", within=within)


def health(daemon: Daemon) -> int:
    """The status code of `/health`."""
    try:
        with urllib.request.urlopen(_address(daemon, "health"), timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def _address(daemon: Daemon, page: str) -> str:
    return f"http://127.0.0.1:{daemon.settings['http.port']}/{page}"
