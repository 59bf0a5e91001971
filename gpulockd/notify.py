"""What the daemon tells systemd: readiness, status, and that it is alive.

The protocol is one datagram to the socket that `$NOTIFY_SOCKET` names: sd_notify(3).
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping

import anyio


def notify_address(environ: Mapping[str, str]) -> str | None:
    """Where systemd listens; None: nowhere. A name that begins with `@` is of the abstract kind."""
    address = environ.get("NOTIFY_SOCKET", "")
    return f"\0{address[1:]}" if address.startswith("@") else address or None


def notify(message: str) -> None:
    """Sends `message`; nothing where nobody listens."""
    if (address := notify_address(os.environ)) is None:
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        sock.connect(address)
        sock.send(message.encode())


@contextlib.contextmanager
def reloading() -> Iterator[None]:
    """Tells systemd that the configuration is being read again, and when that is over."""
    notify(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")
    try:
        yield
    finally:
        notify("READY=1")


def watchdog_interval() -> float | None:
    """Seconds between two signs of life, half of what systemd allows; None: it does not watch this process."""
    allowed, watched = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not allowed.isdecimal() or int(allowed) == 0 or watched not in ("", str(os.getpid())):
        return None
    return int(allowed) / 1e6 / 2


async def keep_watchdog_quiet(progress: Callable[[], Awaitable[None]]) -> None:
    """Tells systemd that the daemon lives for as long as `progress` returns; a stuck engine stays silent."""
    interval = watchdog_interval()
    while interval is not None:
        await progress()
        notify("WATCHDOG=1")
        await anyio.sleep(interval)
