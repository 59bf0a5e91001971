"""What the core says by name is there: error codes, and whatever its docstrings refer to."""

from __future__ import annotations

import ast
import builtins
import importlib
import operator
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from gpulock.errors import CODES
from gpulockd import core

FOLDER = Path(core.__path__[0])
SOURCES = sorted(FOLDER.glob("*.py"))
TREES = {source: ast.parse(source.read_text()) for source in SOURCES}
CODE_ARGUMENT = {"refuse": 2, "Refusal": 0}
"""Which argument is the code, in the calls that take one."""
NAMED = re.compile(r"`([a-zA-Z_.]+)`")


def called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def literals(node: ast.expr, function: ast.AST) -> Iterator[str]:
    """The strings that an argument can be: one that stands there, or those that its variable is given."""
    match node:
        case ast.Constant(str() as text):
            yield text
        case ast.Name(name):
            for each in ast.walk(function):
                if isinstance(each, ast.Assign) and getattr(each.targets[0], "id", "") == name:
                    yield from literals(each.value, function)


def codes() -> dict[str, list[str]]:
    """Every code by the call that it stands in. A call that only passes one on has none of its own."""
    found: dict[str, list[str]] = {}
    for source, tree in TREES.items():
        functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
        for function in functions:
            for node in ast.walk(function):
                if isinstance(node, ast.Call) and called(node) in CODE_ARGUMENT:
                    argument = node.args[CODE_ARGUMENT[called(node)]]
                    found[f"{source.name}:{node.lineno}"] = list(literals(argument, function))
    return found


def test_every_code_of_a_refusal_has_its_exception() -> None:
    said = codes()
    assert {"busy", "wait-timeout", "lost", "unknown-gpu"} <= {code for each in said.values() for code in each}
    assert [(place, code) for place, each in said.items() for code in each if code not in CODES] == []
    passing_on = [place.partition(":")[0] for place, each in said.items() if not each]
    assert sorted(passing_on) == ["admin.py", "places.py", "requests.py", "turn.py"]


def docstrings(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.value.value


def kinds() -> set[str]:
    """Of everything that is announced."""
    calls = [node for tree in TREES.values() for node in ast.walk(tree) if isinstance(node, ast.Call)]
    announced = [call.args[0] for call in calls if called(call) == "announce"]
    return {str(argument.value) for argument in announced if isinstance(argument, ast.Constant)}


KINDS = kinds()
MODULES = {source.stem: importlib.import_module(f"gpulockd.core.{source.stem}") for source in SOURCES}
ELSEWHERE = [importlib.import_module(name) for name in ("gpulockd.ports", "gpulock.documents", "gpulock.errors")]


def resolves(name: str, home: ModuleType) -> bool:
    """Whether a name is that of a thing or an event in the core, in what it speaks to, or in the language."""
    first, _, rest = name.partition(".")
    if name in KINDS:
        return True
    if rest and first in MODULES:
        return has(MODULES[first], rest)
    if rest and first in ("core", "gpulock"):
        return resolved("gpulockd.core" + name.removeprefix("core") if first == "core" else name)
    return any(has(each, name) for each in (home, *MODULES.values(), *ELSEWHERE, builtins))


def has(thing: object, path: str) -> bool:
    try:
        operator.attrgetter(path)(thing)
    except AttributeError:
        return False
    return True


def resolved(name: str) -> bool:
    try:
        pkgutil.resolve_name(name)
    except (ImportError, AttributeError):
        return False
    return True


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_what_a_docstring_names_exists(source: Path) -> None:
    """Names of things, that is: with a dot, or written like a class or a constant. Parameters and codes are not."""
    text = "\n".join(docstrings(TREES[source]))
    names = {name for name in NAMED.findall(text) if "." in name or name[0].isupper()}
    assert [name for name in sorted(names) if not resolves(name, MODULES[source.stem])] == []
