"""`docs/settings-benchmark.md`: it is what its figures say, and a second run came to the same verdicts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gpulockd.ctl.arguments import parse
from gpulockd.evidence.statement import read

from .markdown import ROOT, blocks

DOCUMENT = ROOT / "docs" / "settings-benchmark.md"
FOLDER = DOCUMENT.with_suffix("")


def verdicts(document: Any) -> dict[str, str]:
    return {each["name"]: each["verdict"] for each in document["variants"]}


def figures(name: str) -> Any:
    return json.loads((FOLDER / name).read_text())


def test_two_runs_came_to_the_same_verdicts() -> None:
    first, again = figures("figures.json"), figures("again.json")
    assert first["command"] != again["command"], "the second had another seed"
    assert verdicts(first) == verdicts(again)
    assert verdicts(first)["push"] == "passed"


def test_the_page_says_what_the_figures_say() -> None:
    statement = read(DOCUMENT.read_text())
    assert statement is not None
    assert {each.name: each.verdict for each in statement.variants} == verdicts(figures("figures.json"))


def test_the_command_that_made_it_is_understood() -> None:
    (block,) = blocks(DOCUMENT, "console")
    command = block.content.strip().removeprefix("$ ")
    statement = read(DOCUMENT.read_text())
    assert statement is not None
    assert statement.command == command
    _, arguments = parse(command.split()[1:])
    assert Path(arguments.output).name == DOCUMENT.name
