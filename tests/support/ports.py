"""Loopback ports for what tests start."""

from __future__ import annotations

import contextlib
import itertools
import random
import socket

_PORTS = range(11_000, 21_000)
"""Below net.ipv4.ip_local_port_range, from which the kernel gives ports to whoever goes out or binds to port 0: none of
these is taken by chance between its choice and its use. Nor is the one 10000 above, the bus of a cluster's node."""
_order = itertools.cycle(random.sample(_PORTS, len(_PORTS)))


def free_port() -> int:
    """A port that nobody listens on. Each call returns another one, and other processes other ones."""
    for port in itertools.islice(_order, len(_PORTS)):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError(f"every port from {_PORTS.start} on is taken")
