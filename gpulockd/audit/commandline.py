"""What a command understands: its options and its subcommands, taken from its own parser."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Program:
    name: str
    options: Mapping[str, bool]
    """Each spelling, and whether it takes a value."""
    commands: Mapping[str, Program] = field(default_factory=dict)
    wraps: bool = False
    """Whether it runs another command, whose words are not its own."""
    origin: str = ""
    """How to see all this: `gpulockctl status --help`."""


def of_parser(parser: argparse.ArgumentParser, commands: Mapping[str, Program] | None = None) -> Program:
    """`parser` as a program, with the subcommands that it has by itself, and `commands`."""
    options: dict[str, bool] = {}
    known = dict(commands or {})
    for action in parser._actions:  # the only way to ask a parser what it understands
        options |= dict.fromkeys(action.option_strings, action.nargs != 0)
        if isinstance(action, argparse._SubParsersAction):
            known |= {name: of_parser(inner) for name, inner in action.choices.items()}
    return Program(parser.prog, options, known, origin=f"{parser.prog} --help")
