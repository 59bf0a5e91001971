"""`gpulockctl`: reads the command line, runs the command, and turns errors into words and exit codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from gpulock.errors import GpulockError
from gpulock.wire import socket_path

from .arguments import parse
from .context import Context
from .exits import INTERRUPTED, PIPE_CLOSED, exit_code
from .render.look import look_of
from .render.text import printable


def main(argv: Sequence[str] | None = None) -> int:
    command, arguments = parse(argv)
    context = Context(
        socket=arguments.socket or socket_path(),
        look=look_of(sys.stdout, os.environ, arguments.color),
        as_json=arguments.json,
        out=sys.stdout,
    )
    try:
        return command.run(context, arguments)
    except GpulockError as error:
        _explain(error)
        return exit_code(error)
    except BrokenPipeError:
        # Whoever read our output has left. The interpreter must not complain about it at its end, too.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except KeyboardInterrupt:
        return INTERRUPTED


def _explain(error: GpulockError) -> None:
    """The cause, and what to do next, for people."""
    print(f"gpulockctl: {printable(error.message)}", file=sys.stderr)
    if error.hint:
        print(f"  {printable(error.hint)}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
