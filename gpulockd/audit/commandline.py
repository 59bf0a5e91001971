"""What a command understands: its options and its subcommands, taken from its own parser."""

from __future__ import annotations

import argparse
import ast
from collections.abc import Mapping, Sequence
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


def of_sources(name: str, sources: Sequence[str]) -> Program:
    """A program whose parser is made in these Python sources, which are read and not run.

    `add_argument`, `add_parser` and the decorators of click and typer tell options and subcommands. Which option is
    whose cannot be told so, so each is everybody's.
    """
    options = {"-h": False, "--help": False, "--version": False}
    names: set[str] = set()
    for source in sources:
        for node in ast.walk(_parsed(source)):
            if not isinstance(node, ast.Call):
                continue
            texts = [each.value for each in node.args if isinstance(each, ast.Constant) and isinstance(each.value, str)]
            match ast.unparse(node.func).rpartition(".")[2]:
                case "add_argument" | "option" | "Option":
                    takes_value = not any(
                        keyword.arg == "is_flag"
                        or (
                            keyword.arg == "action"
                            and ast.unparse(keyword.value).strip("'\"").startswith(("store_", "count"))
                        )
                        for keyword in node.keywords
                    )
                    for spelling in (part for text in texts for part in text.split("/") if part.startswith("-")):
                        options[spelling] = takes_value
                case "add_parser":
                    names.update(texts[:1])
                case _:
                    pass
    commands = {each: Program(f"{name} {each}", {}) for each in names}
    return Program(name, options, commands, origin=f"{name} --help")


def _parsed(source: str) -> ast.AST:
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError):
        return ast.Module([], [])
