"""The GPUs of a host as rows of a table: memory, who has each, and for how long."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from .amounts import bar, brief, gib, percent
from .people import holder
from .table import Column, Grid
from .text import Style, Text

if TYPE_CHECKING:
    from gpulock.documents import GpuView, LockView, StatusDocument

_BLANK = Text()

COLUMNS = (
    Column("GPU", align="right"),
    Column("MEMORY", least=6, drop=6),
    Column("GiB", align="right", drop=5),
    Column("UTIL", align="right", drop=7),
    Column("HOLDER"),
    Column("COMMAND", least=12, most=72, drop=8),
    Column("CONTAINER", least=12, most=24, drop=9),
    Column("NAME", least=8, most=28, drop=10),
    Column("TASK", least=6, most=20, drop=3, filler=True),
    Column("HELD", align="right", drop=2),
    Column("LEFT", align="right", drop=4),
)
BAR, UTIL, HOLDER = 1, 3, 4
"""Places in `COLUMNS`."""


class Cells(NamedTuple):
    """One row under `COLUMNS`."""

    number: Text
    memory: Text
    gib: Text = _BLANK
    utilization: Text = _BLANK
    holder: Text = _BLANK
    command: Text = _BLANK
    container: Text = _BLANK
    name: Text = _BLANK
    task: Text = _BLANK
    passed: Text = _BLANK
    left: Text = _BLANK


class Place(NamedTuple):
    """A GPU and the lock on it."""

    gpu: GpuView
    lock: LockView | None
    first: int | None
    """The first GPU of that lock, where it is described."""

    @property
    def leads(self) -> bool:
        return self.lock is not None and self.first == self.gpu["index"]


class Standing(NamedTuple):
    """How a GPU stands, in a word or two."""

    word: str
    style: Style


def places(status: StatusDocument) -> Iterator[Place]:
    locks = {lock["id"]: lock for lock in status["locks"]}
    first: dict[str, int] = {}
    for gpu in status["gpus"]:
        lock = locks.get(gpu["lock"] or "")
        yield Place(gpu, lock, None if lock is None else first.setdefault(lock["id"], gpu["index"]))


def standing(gpu: GpuView) -> Standing:
    if gpu["state"] == "held":
        return Standing("held", "")
    if gpu["fault"] is not None:
        return Standing("sick", "bad")
    if gpu["state"] == "quarantined":
        return Standing("quarantined", "warn")
    if gpu["elsewhere"] is not None:
        return Standing("leased elsewhere", "warn")
    if gpu["drained"] is not None:
        return Standing("drained", "warn")
    if gpu["blocked"]:
        return Standing("not granted", "warn")
    return Standing("free", "good")


def cells(place: Place, users: int, longest_bar: int) -> Cells:
    """The row of a GPU, with a blank as long as its bar may get; `users` is the width of user names."""
    gpu, lock = place.gpu, place.lock
    used = "?" if gpu["memory_used"] is None else gib(gpu["memory_used"])
    row = Cells(
        number=Text(str(gpu["index"]), "strong"),
        memory=Text(" " * longest_bar),
        gib=Text(f"{used}/{gib(gpu['memory_total'])}"),
        utilization=Text(percent(gpu["utilization"])),
        name=Text(model(gpu), "quiet"),
    )
    if lock is None:
        since = gpu["quarantine"]["since"] if gpu["quarantine"] is not None else None
        return row._replace(holder=Text(*standing(gpu)), passed=_BLANK if since is None else Text(brief(since)))
    if not place.leads:
        return row._replace(holder=Text(f"with GPU {place.first}", "quiet"))
    return row._replace(
        holder=holder(lock["owner"], users),
        command=Text(lock["owner"]["command"], "quiet"),
        container=Text(lock["owner"]["container"], "quiet"),
        task=Text(lock["task"]),
        passed=Text(brief(lock["held_for"])),
        left=Text(brief(lock["time_left"])) if lock["recall"] is None else Text("recall", "warn"),
    )


def with_bar(row: Cells, gpu: GpuView, grid: Grid) -> Cells:
    """The row with its bar, as long as the grid has room for."""
    filled, track = bar(gpu["memory_used"], gpu["memory_total"], grid.widths[BAR] or 0)
    return row._replace(memory=Text(filled) + Text(track, "quiet"))


def model(gpu: GpuView) -> str:
    return gpu["name"].removeprefix("NVIDIA ")
