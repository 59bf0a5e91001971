"""Which names a request may call this server by.

A browser on this host would let any web page read what listens on the loopback, if that page's name is made to point
there (DNS rebinding). Such a request names the page's host; a genuine one names the loopback, or this host.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from functools import lru_cache


@lru_cache(maxsize=64)  # scrapers call it by one name, again and again
def is_loopback(host: str) -> bool:
    """Of an address or a name, without its port."""
    name = host.strip("[]").rstrip(".").lower()
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")


def is_ours(header: str, own: Collection[str]) -> bool:
    """Whether a `Host` header, with or without a port, names the loopback or one of the names in `own`."""
    name = header if header.endswith("]") or ":" not in header else header.rpartition(":")[0]
    return is_loopback(name) or name.rstrip(".").lower() in {each.lower() for each in own if each}
