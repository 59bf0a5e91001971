"""`docs/architecture.md`: the picture has the imports of the code, and the tables have its transitions and times."""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Mapping
from graphlib import TopologicalSorter

import grimp
import pytest

from gpulockd.config import Config
from gpulockd.core import lease, placement, recall
from gpulockd.core.model import COUNTER_BITS

from .markdown import ROOT, blocks, names, table, tables

DOCUMENT = ROOT / "docs" / "architecture.md"
Arrows = set[tuple[str, str]]


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("gpulockd", "gpulock", cache_dir=None)


def room_of() -> dict[str, str]:
    """The room of each module, by the tables: those of the daemon first, then those of the client."""
    found: dict[str, str] = {}
    both = (each for each in tables(DOCUMENT) if each.header[0] == "room")
    for package, rooms in zip(("gpulockd", "gpulock"), both, strict=True):
        for row in rooms.rows:
            for module in names(row[2]):
                whole = f"{package}.{module}".removesuffix(".__init__")
                assert whole not in found, f"{whole} is in two rooms"
                (found[whole],) = names(row[0])
    return found


def drawn() -> Arrows:
    """The arrows of the picture."""
    (picture,) = blocks(DOCUMENT, "mermaid")
    found: Arrows = set()
    for line in picture.content.splitlines():
        if match := re.fullmatch(r"\s*(.+?) --> (.+?)\s*", line):
            ends = [side.split(" & ") for side in match.groups()]
            arrows = set(itertools.product(*ends))
            assert not arrows & found, f"drawn twice: {arrows & found}"
            found |= arrows
    return found


def imported(graph: grimp.ImportGraph) -> Arrows:
    """Who imports whom, by rooms."""
    rooms = room_of()
    found = {
        (room(importer, rooms), room(other, rooms))
        for importer in graph.modules
        for other in graph.find_modules_directly_imported_by(importer)
    }
    return {(importer, other) for importer, other in found if importer != other}


def room(module: str, rooms: Mapping[str, str]) -> str:
    return rooms[".".join(module.split(".")[:2])]


def without_detours(arrows: Arrows) -> Arrows:
    """Those that no longer way says. Raises `CycleError` where that means nothing."""
    ahead: dict[str, set[str]] = defaultdict(set)
    for start, end in arrows:
        ahead[start].add(end)
    reached: dict[str, set[str]] = {}
    for start in TopologicalSorter(ahead).static_order():
        reached[start] = set().union(ahead.get(start, ()), *(reached[end] for end in ahead.get(start, ())))
    return {(start, end) for start, end in arrows if not any(end in reached[other] for other in ahead[start] - {end})}


def test_every_module_is_in_one_room(graph: grimp.ImportGraph) -> None:
    there = {".".join(module.split(".")[:2]) for module in graph.modules}
    assert there - {"gpulockd"} == set(room_of())
    assert graph.find_modules_directly_imported_by("gpulockd") == set()


def test_every_room_is_in_the_picture() -> None:
    assert {end for arrow in drawn() for end in arrow} == set(room_of().values())


def test_the_arrows_are_the_imports(graph: grimp.ImportGraph) -> None:
    assert drawn() == without_detours(imported(graph))


def test_detours_are_left_out() -> None:
    assert without_detours({("a", "b"), ("b", "c"), ("a", "c"), ("a", "d")}) == {("a", "b"), ("b", "c"), ("a", "d")}


def test_the_states_of_a_gpu() -> None:
    listed = {(row[0], row[1], row[2]) for row in table(DOCUMENT, "GPU is").rows}
    assert listed == {(was.value, step.value, now.value) for (was, step), now in placement.TRANSITIONS.items()}


def test_the_states_of_a_lock() -> None:
    listed = {(row[0], row[1], row[2]) for row in table(DOCUMENT, "lock is").rows}
    assert listed == {(was.value, push.value, now.value) for (was, push), now in recall.TRANSITIONS.items()}


def test_the_times_of_a_lease() -> None:
    rows = table(DOCUMENT, "share of the ttl").rows
    assert [float(row[0]) for row in rows] == [lease.RENEW, lease.WARN, lease.STOP, lease.TERMINATE, lease.KILL, 1]
    ttl = Config().redis.ttl
    assert table(DOCUMENT, "share of the ttl").header[1] == f"with `ttl: {ttl:g}`"
    assert [row[1] for row in rows] == [f"{float(row[0]) * ttl:g} s" for row in rows]


def test_the_form_of_a_token() -> None:
    assert f"`epoch << {COUNTER_BITS} | counter`" in DOCUMENT.read_text()
