"""The command line: options that every command has, and those of the one that was named."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast

from gpulock.durations import parse_duration
from gpulock.errors import InvalidRequest
from gpulock.wire import MAX_GPUS

from ..version import __version__
from .catalogue import COMMANDS

if TYPE_CHECKING:
    from .context import Context

SUBJECT = f"GPU (index, UUID or its beginning), lock, request, or pid:N; a number above {MAX_GPUS - 1} is a pid"

_EXIT_CODES = """\
exit codes: 0; 1 the daemon refused, or a check failed; 2 usage; 69 daemon unreachable; 77 not permitted;
78 bad configuration; 128+n ended by signal n.  Socket: --socket, $GPULOCK_SOCKET, /run/gpulockd/gpulockd.sock.
"""


class Command(Protocol):
    """What each file under `commands` has."""

    def configure(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, context: Context, arguments: Any) -> int:
        """Returns the exit code. Raises `GpulockError`."""
        ...


def parse(argv: Sequence[str] | None) -> tuple[Command, argparse.Namespace]:
    """The command and its arguments. Exits with 2, and says why, for a line that makes no sense."""
    top = top_parser()
    chosen = top.parse_args(argv)
    command, parser = parser_of(chosen.command)
    return command, parser.parse_args(chosen.arguments, chosen)


def top_parser() -> argparse.ArgumentParser:
    """What reads the words up to the command's name."""
    top = argparse.ArgumentParser(
        prog="gpulockctl",
        description="Look at gpulockd, and control it.",
        epilog="commands:\n"
        + "".join(f"  {name:<10}{summary}\n" for name, summary in COMMANDS.items())
        + "\n`gpulockctl COMMAND --help` tells more.\n\n"
        + _EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=f"gpulockctl {__version__}")
    common(top, None)
    top.add_argument("command", metavar="COMMAND", choices=COMMANDS)
    top.add_argument("arguments", nargs=argparse.REMAINDER, metavar="...", help=argparse.SUPPRESS)
    return top


def parser_of(name: str) -> tuple[Command, argparse.ArgumentParser]:
    """A command, and what reads the words behind its name."""
    command = cast(Command, importlib.import_module(f"{__package__}.commands.{name}"))
    parser = argparse.ArgumentParser(prog=f"gpulockctl {name}", description=COMMANDS[name], allow_abbrev=False)
    common(parser, argparse.SUPPRESS)  # what stood before the command is not overwritten
    command.configure(parser)
    return command, parser


def subject(text: str) -> str:
    """An argument that names one thing. A number that can be no GPU's index is a pid."""
    return f"pid:{text}" if text.isdecimal() and int(text) >= MAX_GPUS else text


def duration(text: str) -> float:
    try:
        return parse_duration(text)
    except InvalidRequest as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 on")
    return int(text)


def common(parser: argparse.ArgumentParser, default: str | None) -> None:
    """The options that every command has, and every action of one."""
    absent: Any = default
    parser.add_argument("--socket", metavar="PATH", default=absent, help="where the daemon listens")
    parser.add_argument(
        "--json", action="store_true", default=absent or False, help="the document itself, with its schema_version"
    )
    parser.add_argument(
        "--color",
        choices=("auto", "always", "never"),
        default=absent or "auto",
        help="auto: on a terminal, unless NO_COLOR is set",
    )
