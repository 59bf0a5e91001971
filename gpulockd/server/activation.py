"""Descriptors that systemd opened for the daemon: the `sd_listen_fds(3)` protocol.

The variables are removed once they are read, so that no child takes them for its own.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from typing import NamedTuple

from ..ports import StartupRefused

FIRST = 3
"""The number of the first passed descriptor, by the protocol."""


class Inherited(NamedTuple):
    name: str
    """`FileDescriptorName=` of the socket unit, the unit's own name by default."""
    descriptor: int


def inherited(environ: MutableMapping[str, str] | None = None, *, first: int = FIRST) -> list[Inherited]:
    """What was passed to this very process, in order; empty where nothing was.

    Raises `StartupRefused` for variables that make no sense.
    """
    environ = os.environ if environ is None else environ
    pid, count, names = (environ.pop(f"LISTEN_{name}", "") for name in ("PID", "FDS", "FDNAMES"))
    if not count or pid != str(os.getpid()):
        return []  # nothing, or meant for the process that started this one
    if not count.isascii() or not count.isdigit():
        raise StartupRefused(
            f"LISTEN_FDS={count!r} is not a number of descriptors",
            "unset LISTEN_FDS, or start the daemon through its systemd socket unit",
        )
    named = names.split(":") if names else []
    named += ["unknown"] * (int(count) - len(named))
    passed = [Inherited(name, first + at) for at, name in enumerate(named[: int(count)])]
    for each in passed:
        _keep_from_children(each.descriptor)
    return passed


def _keep_from_children(descriptor: int) -> None:
    try:
        os.set_inheritable(descriptor, False)
    except OSError as error:
        raise StartupRefused(
            f"descriptor {descriptor}, which LISTEN_FDS announces, is not open: {error.strerror}",
            "unset LISTEN_FDS, or start the daemon through its systemd socket unit",
        ) from None
