"""Signals that end a command as Ctrl-C does: what it has started, taken or drawn on is given back."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from typing import NoReturn


@contextlib.contextmanager
def ended_by_signal() -> Iterator[None]:
    """Within it SIGTERM and SIGHUP raise `SystemExit`, with the exit code that a shell expects."""

    def leave(number: int, _: object) -> NoReturn:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, action in before.items():
            signal.signal(number, action)
