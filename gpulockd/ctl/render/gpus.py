"""The GPUs of a host: memory, who has each, for how long, and what is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .amounts import bar, brief, gib, percent
from .people import holder, person, process
from .table import Column, Grid, Row
from .text import Style, Text, join

if TYPE_CHECKING:
    from gpulock.documents import GpuView, LockView, OwnerView, ProcessView, QuarantineView, StatusDocument

_STRANGERS = 3  # processes without a lock that are shown for each GPU

_ENDS = {
    "disconnected": "who disconnected",
    "died": "who died",
    "abandoned": "who did not come back",
    "revoked": "whose lock was revoked",
    "max-hold": "who held it too long",
    "lease-lost": "whose lease was lost",
}

BAR, GIB, UTIL, HOLDER = 1, 2, 3, 4
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
_COMMAND, _CONTAINER, _NAME = 5, 6, 7


class Standing(NamedTuple):
    """How a GPU stands, in a word or two."""

    word: str
    style: Style


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


def cells(status: StatusDocument, users: int, longest_bar: int, *, spacious: bool) -> list[list[Text]]:
    """One row of cells for each GPU, with blank space for the bar. `spacious`: command and the like have columns
    of their own."""
    locks = {lock["id"]: lock for lock in status["locks"]}
    seen: set[str] = set()
    rows = []
    for gpu in status["gpus"]:
        lock = locks.get(gpu["lock"] or "")
        first = lock is not None and lock["id"] not in seen
        if lock is not None:
            seen.add(lock["id"])
        used = "?" if gpu["memory_used"] is None else gib(gpu["memory_used"])
        row = [Text() for _ in COLUMNS]
        row[0] = Text(str(gpu["index"]), "strong")
        row[BAR] = Text(" " * longest_bar)
        row[GIB] = Text(f"{used}/{gib(gpu['memory_total'])}")
        row[UTIL] = Text(percent(gpu["utilization"]))
        row[HOLDER:] = _whose(gpu, lock, first, status, users, spacious)
        rows.append(row)
    return rows


def with_bars(status: StatusDocument, rows: list[list[Text]], grid: Grid) -> list[list[Text]]:
    width = grid.widths[BAR]
    if width is None:
        return rows
    for gpu, row in zip(status["gpus"], rows, strict=True):
        filled, track = bar(gpu["memory_used"], gpu["memory_total"], width)
        row[BAR] = Text(filled) + Text(track, "quiet")
    return rows


def rows(status: StatusDocument, table_cells: list[list[Text]], room: int, *, details: bool, names: bool) -> list[Row]:
    """The rows with what there is to say below each, in `room` columns. `details`: command and container too."""
    locks = {lock["id"]: lock for lock in status["locks"]}
    seen: set[str] = set()
    shown = []
    for gpu, row in zip(status["gpus"], table_cells, strict=True):
        lock = locks.get(gpu["lock"] or "")
        notes = [Text(model(gpu), "quiet")] if names else []
        if lock is not None and lock["id"] not in seen:
            seen.add(lock["id"])
            notes += _lock_notes(lock, room, details=details)
        shown.append(Row(row, notes + _gpu_notes(gpu)))
    return shown


def model(gpu: GpuView) -> str:
    return gpu["name"].removeprefix("NVIDIA ")


def _whose(
    gpu: GpuView, lock: LockView | None, first: bool, status: StatusDocument, users: int, spacious: bool
) -> list[Text]:
    row = [Text() for _ in COLUMNS[HOLDER:]]
    if spacious and len({each["name"] for each in status["gpus"]}) > 1:
        row[_NAME - HOLDER] = Text(model(gpu), "quiet")
    if lock is None:
        row[0] = Text(*standing(gpu))
        if gpu["quarantine"] is not None:
            row[-2] = Text(brief(gpu["quarantine"]["since"]))
    elif not first:
        row[0] = Text(f"with GPU {_first_index(lock, status)}", "quiet")
    else:
        row[0] = holder(lock["owner"], users)
        if spacious:
            row[_COMMAND - HOLDER] = Text(lock["owner"]["command"], "quiet")
            row[_CONTAINER - HOLDER] = Text(lock["owner"]["container"], "quiet")
        row[-3:] = [Text(lock["task"]), Text(brief(lock["held_for"])), _left(lock)]
    return row


def _first_index(lock: LockView, status: StatusDocument) -> int:
    return next(gpu["index"] for gpu in status["gpus"] if gpu["lock"] == lock["id"])


def _left(lock: LockView) -> Text:
    return Text(brief(lock["time_left"])) if lock["recall"] is None else Text("recall", "warn")


def _lock_notes(lock: LockView, room: int, *, details: bool) -> list[Text]:
    notes = _origin(lock["owner"], room) if details else []
    if lock["progress"] is not None or lock["note"]:
        age = "" if lock["beat_age"] is None else f"{brief(lock['beat_age'])} ago"
        notes.append(join(", ", [percent(lock["progress"]), lock["note"], age]).styled("quiet"))
    if lock["recall"] is not None:
        notes.append(Text(recall_in_words(lock), "warn"))
    if not lock["connected"]:
        notes.append(Text("not reconnected since the daemon restarted", "warn"))
    return notes


def _origin(owner: OwnerView, room: int) -> list[Text]:
    """Command and container, on one line where they fit."""
    command = Text(owner["command"], "quiet").cut(2 * room)
    container = Text(f"in container {owner['container']}" if owner["container"] else "", "quiet")
    both = join(" · ", [command, container])
    return [both] if both.width <= room else [command, container]


def recall_in_words(lock: LockView) -> str:
    recall = lock["recall"]
    assert recall is not None
    by = f" by {recall['by']}" if recall["by"] else ""
    note = f" ({recall['note']})" if recall["note"] else ""
    if recall["obstacle"]:
        return f"taken back{by}: {recall['reason']}{note}, but {recall['obstacle']}"
    step = {
        "held": "",
        "recalled": f"; SIGTERM in {brief(recall['time_left'])}",
        "terminating": f"; was sent SIGTERM, SIGKILL in {brief(recall['time_left'])}",
        "killing": "; was sent SIGKILL, waiting for its end",
    }[lock["state"]]
    return f"taken back{by}: {recall['reason']}{note}{step}"


def _gpu_notes(gpu: GpuView) -> list[Text]:
    notes = []
    if gpu["fault"] is not None:
        notes.append(Text(gpu["fault"], "bad"))
    if gpu["quarantine"] is not None:
        notes += _quarantine_notes(gpu["quarantine"])
    if gpu["elsewhere"] is not None:
        notes.append(Text(f"host {gpu['elsewhere']['host']}, daemon pid {gpu['elsewhere']['pid']}", "warn"))
    if gpu["drained"] is not None:
        alone = standing(gpu).word == "drained"
        notes.append(Text(gpu["drained"] if alone else join(": ", ["drained", gpu["drained"]]).plain, "warn"))
    return notes + _strangers(gpu)


def _quarantine_notes(quarantine: QuarantineView) -> list[Text]:
    how = _ENDS.get(quarantine["reason"], f"({quarantine['reason']})")
    notes = [Text(f"after {person(quarantine['holder'])}, {how}", "quiet")]
    return notes + [Text(f"in the way: {process(culprit)}", "warn") for culprit in quarantine["culprits"]]


def _strangers(gpu: GpuView) -> list[Text]:
    strangers: list[ProcessView] = [each for each in gpu["processes"] or () if each["relation"] == "foreign"]
    notes = [Text(f"without a lock: {process(each)}") for each in strangers[:_STRANGERS]]
    if len(strangers) > _STRANGERS:
        notes.append(Text(f"and {len(strangers) - _STRANGERS} more: gpulockctl describe {gpu['index']}", "quiet"))
    return notes
