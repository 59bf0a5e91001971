"""`docs/guide.md`: its programs run, and its tables are those of the code."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import gpulock
from gpulock import command, errors
from gpulock.group import CannotRun
from gpulock.sync import Lock
from gpulockd.config import load, settings
from gpulockd.config.keys import FALLBACKS
from gpulockd.core.settings import Levels
from tests.core.script import Host, acquire, answered, beats, granted, passes, play
from tests.support.daemon import Daemon

from . import programs
from .events import alarms
from .markdown import ROOT, Block, blocks, names, table, tables

DOCUMENT = ROOT / "docs" / "guide.md"
PROGRAMS = blocks(DOCUMENT, "python")
TAKING = [block for block in PROGRAMS if "Client" not in block.content]

READERS_OWN = "def train(env): assert env['GPULOCK_LOCK'] and env['GPULOCK_TOKEN']"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Daemon(tmp_path_factory.mktemp("d"), simulate=2) as daemon:
        yield daemon


@pytest.mark.parametrize("block", PROGRAMS, ids=lambda block: f"line-{block.line}")
def test_the_programs_run(daemon: Daemon, block: Block, tmp_path: Path) -> None:
    before = len(programs.locks_taken(daemon))
    programs.run(block, daemon, tmp_path, before=READERS_OWN)
    assert (len(programs.locks_taken(daemon)) > before) is (block in TAKING)


def test_whoever_looks_for_help_finds_what_the_daemon_complains_of_in_its_log() -> None:
    """Its connections and its configuration: what befalls a GPU, a lock or a lease, `status` shows by another word."""
    seen = {
        name for each in tables(DOCUMENT) if each.header[0] == "you see" for row in each.rows for name in names(row[0])
    }
    complaints = {kind for kind in alarms() if kind.startswith(("session.", "server.", "config.", "canary."))}
    assert complaints - seen == set()
    assert len(complaints) > 5


def test_the_parameters_of_acquire() -> None:
    listed = {names(row[0])[0]: names(row[1])[0] for row in table(DOCUMENT, "parameter").rows}
    for function in (gpulock.acquire, gpulock.aio.acquire):
        parameters = inspect.signature(function).parameters.values()
        assert listed == {each.name: repr(each.default).replace("'", '"') for each in parameters}


def test_the_members_of_a_lock() -> None:
    listed = {names(row[0])[0] for row in table(DOCUMENT, "member").rows}
    members = {name for name in dir(Lock) if not name.startswith("_")} | {"task"}
    assert {each.partition("(")[0] for each in listed} == members
    for method in (each for each in listed if "(" in each):
        name, _, parameters = method.rstrip(")").partition("(")
        accepted = list(inspect.signature(getattr(Lock, name)).parameters)[1:]
        assert accepted == [each.strip() for each in parameters.split(",") if each]


def test_every_error() -> None:
    listed = {names(row[0])[0]: names(row[1]) for row in table(DOCUMENT, "error").rows}
    # What only `gpulockctl config` is answered is in docs/configuration-changes.md.
    answered = {kind for kind in errors.CODES.values() if not issubclass(kind, errors.ConfigurationRefused)}
    answered.discard(errors.GpulockError)
    kinds = {kind.__name__: kind for kind in (*answered, errors.SoftTimeout)}
    assert listed.keys() == kinds.keys()
    for name, kind in kinds.items():
        builtin = [
            base.__name__ for base in kind.__mro__ if base.__module__ == "builtins" and issubclass(base, Exception)
        ]
        assert listed[name] == builtin[:1] if builtin[0] != "Exception" else listed[name] == []


def test_the_exit_statuses() -> None:
    listed = {int(number) for row in table(DOCUMENT, "exit status").rows[1:] for number in row[0].split(",")}
    cannot = {CannotRun("x", kind(0, "")).status for kind in (FileNotFoundError, PermissionError)}
    assert listed == {status for _, status in command._STATUS} | {command.LOST} | cannot


def test_every_setting_with_its_default() -> None:
    listed = {names(row[0])[0]: names(row[1])[0] for row in table(DOCUMENT, "key").rows}
    defaults = settings(load(None, {}, Path("absent")))
    assert list(listed.items()) == [(each["key"], written(each["value"])) for each in defaults]


def test_every_key_of_a_profile_with_what_holds_without_it() -> None:
    assert {names(row[0])[0]: names(row[1])[0] for row in table(DOCUMENT, "in a profile").rows} == FALLBACKS


def written(value: object) -> str:
    """A value as it stands in YAML."""
    if isinstance(value, bool):
        return str(value).lower()
    return '""' if value == "" else str(value)


@pytest.mark.parametrize("block", blocks(DOCUMENT, "yaml"), ids=lambda block: f"line-{block.line}")
def test_configurations_are_accepted(block: Block, tmp_path: Path) -> None:
    file = tmp_path / "config.yml"
    file.write_text(block.content)
    load(file, {})


BEATS_AT: dict[str, Callable[[int], bool]] = {
    "has never beaten": lambda _: False,
    "beats": lambda second: second % 10 == 5,
    "is stalled": lambda second: second == 5,
}


@pytest.mark.parametrize("row", table(DOCUMENT, "the task").rows, ids=lambda row: row[0])
def test_what_becomes_of_a_lock_that_lasts(row: list[str]) -> None:
    """The row, played: levels at 100 and 200 seconds, and the end at 300."""
    task, *outcomes = row
    host = Host(gpus=1, levels=Levels(100, 200, 300), beat_timeout=20)
    play(host, acquire("anna", hold=math.inf, notify=frozenset({"warning", "lost"})), granted("anna", 0))
    heard: dict[int, list[str]] = {}
    for second in range(1, 301):
        notices = passes(1)(host)
        heard[second] = [notice.detail if notice.what == "warning" else notice.what for notice in notices]
        if BEATS_AT[task](second):
            play(host, beats("anna"), answered("anna"))
    words = {"warning": "told", "soft": "asked to finish", "lost": "taken back"}
    was_taken = False
    for second, outcome in zip((100, 200, 300), outcomes, strict=True):
        if not was_taken:
            assert words[heard[second][-1]] == outcome
        was_taken = outcome == "taken back"
