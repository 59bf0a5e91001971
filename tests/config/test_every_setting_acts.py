"""A setting that no code reads, or that `config.yml` does not show, fails here."""

from __future__ import annotations

import ast
import dataclasses
import itertools
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

import gpulockd
from gpulockd.config import Config, load, settings
from gpulockd.config.keys import SETTINGS
from gpulockd.core.settings import Settings

from .core_fields import OTHERS, fields_of

PACKAGE = Path(gpulockd.__file__).parent
FILE = PACKAGE.parent / "config.yml"

LATER = {
    "gpu_lock_monitor.heartbeat.interval": "what clients are advised to beat at; checked against the timeout",
}
"""Settings that act by being checked only, and why. An entry that is no longer true fails."""


def _prefixes(section: type[BaseModel], path: str = "") -> Iterator[tuple[type[BaseModel], str]]:
    yield section, path
    for name, field in section.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _prefixes(field.annotation, f"{path}.{name}".strip("."))


PATHS = {section.__name__: path for section, path in _prefixes(Config)}
"""Where each section stands: `Redis` at `redis`, `Config` at the top."""


class Reads(ast.NodeVisitor):
    """Collects the settings that a module reads.

    What counts is an attribute of something that is a section: of `config.redis`, of a name that was bound to
    that, or of a parameter or variable that is annotated as a section. A mere statement `config.redis.ttl` and a
    value that is thrown away (`_ = ...`) do not count.
    """

    def __init__(self) -> None:
        self.found: set[str] = set()
        self._names: dict[str, str] = {"config": ""}

    def visit_Expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Attribute):
            self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> None:
        self._annotate(node.arg, node.annotation)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if isinstance(node.target, ast.Name):
            self._annotate(node.target.id, node.annotation)
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        for target in node.targets:
            pairs = (
                zip(target.elts, node.value.elts, strict=False)
                if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple)
                else [(target, node.value)]
            )
            for name, value in pairs:
                if isinstance(name, ast.Name):
                    self._bind(name.id, value)
                self.visit(name)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if isinstance(node.ctx, ast.Load) and (path := self._path(node)) in SETTINGS:
            self.found.add(str(path))
        self.generic_visit(node)

    def _bind(self, name: str, value: ast.expr) -> None:
        path = self._path(value)
        if name != "_" or path is None:
            self.visit(value)
        if path is not None and path not in SETTINGS:
            self._names[name] = path

    def _annotate(self, name: str, annotation: ast.expr | None) -> None:
        words = {node.id for node in ast.walk(annotation) if isinstance(node, ast.Name)} if annotation else set()
        words |= (
            {node.attr for node in ast.walk(annotation) if isinstance(node, ast.Attribute)} if annotation else set()
        )
        for section in words & PATHS.keys():
            self._names[name] = PATHS[section]

    def _path(self, node: ast.expr) -> str | None:
        """The section or setting that an expression is, or None."""
        if isinstance(node, ast.Name):
            return self._names.get(node.id)
        if not isinstance(node, ast.Attribute):
            return None
        if node.attr == "config":
            return ""
        base = self._path(node.value)
        return None if base is None else f"{base}.{node.attr}".strip(".")


def reads_in(source: str) -> set[str]:
    reads = Reads()
    reads.visit(ast.parse(source))
    return reads.found


def core_fields_read_in(source: str) -> set[str]:
    """The attributes of anything that is called `settings`, or annotated as `Settings`, that are read."""
    tree = ast.parse(source)
    idle = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load) and id(node) not in idle
        if (isinstance(node.value, ast.Name) and node.value.id == "settings")
        or (isinstance(node.value, ast.Attribute) and node.value.attr == "settings")
    }


def sources() -> list[str]:
    """The daemon's code, without the configuration itself: to be parsed and passed on is not to act."""
    files = [path for path in PACKAGE.rglob("*.py") if PACKAGE / "config" not in path.parents]
    return [path.read_text() for path in sorted(files)]


def acting() -> set[str]:
    """Every setting that some code reads, by itself or as one of the core's."""
    in_core = set().union(*map(core_fields_read_in, sources()))
    through_core = {key for key in OTHERS if in_core >= fields_of(key).keys()}
    return set().union(through_core, *map(reads_in, sources()))


def test_every_setting_is_shown_at_its_default() -> None:
    loaded = load(FILE, {})
    assert [key for key in SETTINGS if loaded.origins[key] == "default"] == [], "config.yml does not show these"
    defaults = load(None, {}, Path("absent"))
    shown = {view["key"]: view["value"] for view in settings(loaded)}
    assert shown == {view["key"]: view["value"] for view in settings(defaults)}
    assert loaded.config == defaults.config == Config()


def test_every_setting_is_explained_right_above_it() -> None:
    lines = FILE.read_text().splitlines()
    for key, origin in load(FILE, {}).origins.items():
        line = int(origin.rsplit(":", 2)[1]) - 1
        name = key.rpartition(".")[2]
        assert lines[line].strip().startswith(f"{name}:")
        above = itertools.takewhile(lambda text: text.strip() != "", reversed(lines[:line]))
        assert any(text.strip().startswith("#") for text in above), f"{key} has no comment"


def test_the_production_values() -> None:
    config = load(FILE, {}).config
    lock = config.gpu_lock
    assert (lock.poll_interval, lock.max_wait_time, lock.lock_timeout) == (2, 1800, 3600)
    assert (lock.exponential_backoff, lock.max_poll_interval) == (True, 10)
    assert (lock.use_event_driven, lock.fallback_timeout) == (True, 30)
    monitor = config.gpu_lock_monitor
    assert (monitor.monitor_interval, monitor.enabled, monitor.auto_recovery) == (30, True, True)
    assert monitor.timeout_levels.model_dump() == {"warning": 1800, "soft_timeout": 3600, "hard_timeout": 7200}
    assert monitor.heartbeat.model_dump() == {"interval": 60, "timeout": 300}
    assert (config.redis.url, config.redis.ttl, config.redis.on_loss) == ("", 15, "keep")
    assert (config.http.host, config.http.port) == ("127.0.0.1", 8788)


def test_every_setting_is_read_by_some_code() -> None:
    assert sorted(SETTINGS.keys() - acting() - LATER.keys()) == []


def test_what_is_for_later_is_not_read_yet() -> None:
    assert LATER.keys() <= SETTINGS.keys()
    assert sorted(LATER.keys() & acting()) == [], "these act now: take them out of LATER"


def test_every_field_of_the_core_is_read_by_some_code() -> None:
    fields = {field.name for field in dataclasses.fields(Settings)}
    assert sorted(fields - set().union(*map(core_fields_read_in, sources()))) == []


# The check itself: what it takes for reading, and what not.


@pytest.mark.parametrize(
    "source",
    [
        "connect(config.redis.ttl)",
        "connect(loaded.config.redis.ttl)",
        "connect(self.config.redis.ttl * 2)",
        "redis = config.redis\nconnect(redis.ttl)",
        "one, two = config.redis, config.http\nconnect(one.ttl)",
        "def connect(settings: Redis): return settings.ttl",
        "def connect(settings: config.Redis | None): return settings.ttl",
        "ttl = config.redis.ttl\nconnect(ttl)",
    ],
)
def test_reading(source: str) -> None:
    assert reads_in(source) == {"redis.ttl"}


@pytest.mark.parametrize(
    "source",
    [
        "connect(other.redis.ttl)",
        "connect(lease.ttl)",
        "config.redis.ttl",
        "_ = config.redis.ttl",
        "config.redis.ttl = 3",
        "'config.redis.ttl'  # config.redis.ttl",
        "def connect(ttl): return ttl",
    ],
)
def test_not_reading(source: str) -> None:
    assert reads_in(source) == set()


def test_nested_sections_are_followed() -> None:
    source = "levels = config.gpu_lock_monitor.timeout_levels\nuse(levels.warning)\n"
    assert reads_in(source) == {"gpu_lock_monitor.timeout_levels.warning"}
    assert reads_in("def beats(heart: Heartbeat): return heart.timeout") == {"gpu_lock_monitor.heartbeat.timeout"}


def test_reading_of_the_core() -> None:
    source = textwrap.dedent("""
        use(turn.state.settings.lease_ttl, settings.kill_grace)
        settings.poll_interval
        other.max_overtakes
    """)
    assert core_fields_read_in(source) == {"lease_ttl", "kill_grace"}
