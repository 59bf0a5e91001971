"""The habits of this house that no linter knows: size, names, and what a committed file must not say."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("gpulockd", "client/gpulock")
LONGEST = 400

# A name that says nothing of what is inside invites everything.
SHAPELESS = {"manager", "handler", "helper", "util", "common", "misc", "stuff"}

# Joined here, so that this file does not say what it looks for.
INDEX_HOSTS = re.compile("|".join(("py" + r"pi\.org", "python" + r"hosted\.", "index" + "-url", "npm" + r"js\.org")))
# Where people and build machines keep their checkouts. Examples may be about alice and bob.
MACHINE_PATHS = re.compile(r"(?<![\w.~-])/(?:Users|root|work|workspace|builds|home/(?!alice\b|bob\b))[/\w]")
UNFINISHED = re.compile("|".join(("TO" + "DO", "FIX" + "ME", "XX" + r"X\b")))

# Distribution -> top-level module, where they differ.
MODULES = {
    "markdown-it-py": "markdown_it",
    "nvidia-ml-py": "pynvml",
    "prometheus-client": "prometheus_client",
    "ruamel.yaml": "ruamel",
}
# Modules that come with another one and share its version: pydantic pins the core that it needs.
COME_ALONG = {"pydantic_core"}


def committed() -> list[Path]:
    """The files that git tracks, and those that it would: all that could be committed."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"not a git checkout, so what is committed cannot be told: {error}")
    return sorted({path for name in done.stdout.split("\0") if name and (path := ROOT / name).is_file()})


def python_files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def lines_that_match(pattern: re.Pattern[str]) -> list[str]:
    """`file:line: text` of every committed line in which `pattern` is found."""
    found = []
    for path in committed():
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            if pattern.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:120]}")
    return found


def imports(path: Path) -> set[str]:
    """The top-level modules that a file imports, wherever in it: inside functions and for types alone too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.partition(".")[0])
    return found


def declared(project: str) -> set[str]:
    """The modules that a pyproject.toml's dependencies bring."""
    asked = tomllib.loads((ROOT / project).read_text())["project"]["dependencies"]
    distributions = {re.split(r"[^\w.-]", requirement)[0] for requirement in asked}
    return {MODULES.get(name, name) for name in distributions}


def test_no_file_is_long() -> None:
    suffixes = {".py", ".lua", ".sql"}
    files = [path for folder in PACKAGES for path in (ROOT / folder).rglob("*") if path.suffix in suffixes]
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in files}
    assert lengths, "no files found: has the source moved?"
    assert {name: length for name, length in lengths.items() if length > LONGEST} == {}


def test_every_file_has_a_name_that_says_something() -> None:
    def words(path: Path) -> set[str]:
        return {word.removesuffix("s") for word in re.split(r"[_\W]+", path.stem.lower())}

    shapeless = [str(path.relative_to(ROOT)) for path in committed() if words(path) & SHAPELESS]
    assert shapeless == []


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in python_files(*PACKAGES, "tests", "demo")
        if not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert silent == []


def test_no_committed_file_names_a_package_index() -> None:
    assert lines_that_match(INDEX_HOSTS) == []


def test_no_committed_file_names_a_place_on_somebodys_machine() -> None:
    assert lines_that_match(MACHINE_PATHS) == []


def test_nothing_is_left_to_be_done() -> None:
    assert lines_that_match(UNFINISHED) == []


def test_the_client_imports_msgpack_and_nothing_else_from_outside() -> None:
    at_home = sys.stdlib_module_names | {"gpulock"}
    foreign = {name for path in python_files("client/gpulock") for name in imports(path)} - at_home
    assert foreign == {"msgpack"} == declared("client/pyproject.toml")


def test_the_daemon_imports_what_it_declares_and_declares_what_it_imports() -> None:
    at_home = sys.stdlib_module_names | {"gpulockd"} | COME_ALONG
    foreign = {name for path in python_files("gpulockd") for name in imports(path)} - at_home
    assert foreign == declared("pyproject.toml")
