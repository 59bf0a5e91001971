"""`gpulock -- CMD`: flock(1) for GPUs. The command runs while the lock is held, and only then."""

from __future__ import annotations

import os
import sys

from . import wish
from .clock import now
from .connection import new
from .errors import (
    Busy,
    DaemonUnavailable,
    GpulockError,
    InternalError,
    InvalidRequest,
    LockTimeout,
    NestedRequest,
    NotPermitted,
    ProtocolError,
)
from .group import CannotRun, Group, find
from .lean import signal
from .options import HELP, USAGE, Options, UsageError, parse
from .patience import UNAVAILABLE_TIMEOUT
from .signals import Interrupted, Mailbox, interrupt_on_signals
from .supervision import Supervision
from .terminal import Terminal
from .version import __version__
from .waiting_line import WaitingLine
from .wire import socket_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

    from .connection import Connection
    from .notices import Grant, Loss

USAGE_ERROR, UNAVAILABLE, INTERNAL, BUSY, LOST, NOT_PERMITTED, TIMED_OUT = 2, 69, 70, 75, 76, 77, 124

_STATUS: tuple[tuple[type[GpulockError], int], ...] = (
    (NotPermitted, NOT_PERMITTED),
    (LockTimeout, TIMED_OUT),
    (DaemonUnavailable, UNAVAILABLE),
    (ProtocolError, UNAVAILABLE),
    (InternalError, INTERNAL),
    (InvalidRequest, USAGE_ERROR),
    (NestedRequest, USAGE_ERROR),
    (GpulockError, BUSY),
)
"""The exit status for each kind of error; the first that fits."""


def run() -> NoReturn:
    """The program `gpulock`. Nothing is left in it at its end that would need one, and Python's own takes a quarter of
    the time of `gpulock -- true`."""
    status = main()
    if sys.stdout is not None:
        sys.stdout.flush()
    os._exit(status)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs `gpulock`; returns its exit status."""
    try:
        options = parse(sys.argv[1:] if arguments is None else arguments)
    except UsageError as error:
        return _fail(f"{error}\n{USAGE}", USAGE_ERROR)
    if options.show is not None:
        print(
            HELP if options.show == "help" else f"gpulock {__version__}", end="\n" if options.show == "version" else ""
        )
        return 0
    interrupt_on_signals()
    try:
        return _run(options)
    except CannotRun as error:
        return _fail(str(error), error.status)
    except UsageError as error:
        return _fail(str(error), USAGE_ERROR)
    except GpulockError as error:
        return _refused(error, options)
    except Interrupted as interrupted:
        return 128 + interrupted.number


def _run(options: Options) -> int:
    path = find(options.command[0], os.environ)  # before the wait: a typing error should not cost an hour
    connection = new(options.socket or socket_path())
    try:
        grant = _obtain(connection, options)
        if grant.nested:
            connection.close()  # the lock is an outer one's, and so is its care
        return _supervise(connection, path, options, grant)
    finally:
        connection.release()
        connection.close()


def _obtain(connection: Connection, options: Options) -> Grant:
    wanted = wish.make(
        options.gpus,
        options.wait_timeout,
        options.max_hold,
        options.priority,
        options.task,
        options.profile,
        options.labels,
        nested=True,
        queued=not options.quiet,
    )
    line = WaitingLine(_in_words(options.gpus))
    try:
        return connection.obtain(wanted, UNAVAILABLE_TIMEOUT, line.update)
    finally:
        line.erase()


def _supervise(connection: Connection, path: str, options: Options, grant: Grant) -> int:
    remind_after = None if options.reminder is None else options.reminder.after(grant.max_hold)
    remind_at = None if remind_after is None else now() + remind_after
    terminal = Terminal()
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # to hand the terminal to and fro from the background
    mailbox = Mailbox()
    environ = {**os.environ, **grant.env}
    if options.socket is not None:
        environ["GPULOCK_SOCKET"] = options.socket
    group = Group.start(path, options.command, environ, terminal)
    try:
        loss = Supervision(group, connection, mailbox, terminal, options.reminder, remind_at).run()
    finally:
        terminal.take_back(group.pid)
    if loss is not None:
        return _lost(loss)
    return 0 if group.status is None else group.status


def _lost(loss: Loss) -> int:
    error = loss.error()
    return _fail(f"{error.message}; the command was ended\n  gpulockctl history shows what happened", LOST)


def _refused(error: GpulockError, options: Options) -> int:
    status = next(status for kind, status in _STATUS if isinstance(error, kind))
    if isinstance(error, (Busy, LockTimeout)) and options.conflict_exit_code is not None:
        status = options.conflict_exit_code
    return _fail(error.message + (f"\n  {error.hint}" if error.hint else ""), status)


def _fail(message: str, status: int) -> int:
    print(f"gpulock: {message}", file=sys.stderr)
    return status


def _in_words(gpus: int | tuple[str, ...]) -> str:
    if isinstance(gpus, tuple):
        return f"GPU {', '.join(gpus)}"
    return "a GPU" if gpus == 1 else f"{gpus} GPUs"
