"""What there is to say of a GPU below its row: who holds it, and what is wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .amounts import brief, percent
from .gpus import standing
from .people import DOUBTFUL, culprit, person, process
from .text import Text, join

if TYPE_CHECKING:
    from gpulock.documents import GpuView, LockView, OwnerView, ProcessView, QuarantineView

_STRANGERS = 3
"""How many processes without a lock are shown for each GPU."""

_ENDS = {
    "disconnected": "who disconnected",
    "died": "who died",
    "cut-off": "who was cut off",
    "abandoned": "who did not come back",
    "revoked": "whose lock was revoked",
    "max-hold": "who held it too long",
    "stalled": "whose task was silent for too long",
    "lease-lost": "whose lease was lost",
}


def of_owner(owner: OwnerView, room: int) -> list[Text]:
    """Command and container, on one line where they fit into `room` columns."""
    command = Text(owner["command"], "quiet").cut(2 * room)
    container = Text(f"in container {owner['container']}" if owner["container"] else "", "quiet")
    both = join(" · ", [command, container])
    return [both] if both.width <= room else [command, container]


def of_lock(lock: LockView) -> list[Text]:
    notes = []
    if lock["progress"] is not None or lock["note"]:
        age = "" if lock["beat_age"] is None else f"{brief(lock['beat_age'])} ago"
        notes.append(join(", ", [percent(lock["progress"]), lock["note"], age]).styled("quiet"))
    notes += [Text(word, "warn") for word in aging(lock)]
    if lock["recall"] is not None:
        notes.append(Text(recall(lock), "warn"))
    if not lock["connected"]:
        notes.append(Text("not reconnected since the daemon restarted", "warn"))
    return notes


def aging(lock: LockView) -> list[str]:
    """What its age and its task's silence have brought a lock to."""
    words = {"": [], "warning": ["held for long"], "soft": ["asked to finish"]}[lock["level"]]
    return [*words, *(["stalled: its task is silent"] if lock["stalled"] else [])]


def recall(lock: LockView) -> str:
    """How far the taking back of a lock has come; empty where nobody takes it back."""
    view = lock["recall"]
    if view is None:
        return ""
    by = f" by {view['by']}" if view["by"] else ""
    note = f" ({view['note']})" if view["note"] else ""
    step = {
        "held": "",
        "recalled": f"; SIGTERM in {brief(view['time_left'])}",
        "terminating": f"; was sent SIGTERM, SIGKILL in {brief(view['time_left'])}",
        "killing": "; was sent SIGKILL, waiting for its end",
    }[lock["state"]]
    return f"taken back{by}: {view['reason']}{note}" + (f", but {view['obstacle']}" if view["obstacle"] else step)


def of_gpu(gpu: GpuView) -> list[Text]:
    notes = []
    if gpu["fault"] is not None:
        notes.append(Text(gpu["fault"], "bad"))
    if gpu["quarantine"] is not None:
        notes += _quarantine(gpu["quarantine"])
    if gpu["elsewhere"] is not None:
        notes.append(Text(f"host {gpu['elsewhere']['host']}, daemon pid {gpu['elsewhere']['pid']}", "warn"))
    if gpu["drained"] is not None:
        word = "" if standing(gpu).word == "drained" else "drained"  # the row says so already
        notes.append(join(": ", [word, gpu["drained"]]).styled("warn"))
    return notes + _strangers(gpu)


def _quarantine(quarantine: QuarantineView) -> list[Text]:
    how = _ENDS.get(quarantine["reason"], f"({quarantine['reason']})")
    left_by = Text(f"after lock {quarantine['lock']} of {person(quarantine['holder'])}, {how}", "quiet")
    in_the_way = [Text(f"in the way: {_culprit(each)}", "warn") for each in quarantine["culprits"]]
    if quarantine["awaited"] and not in_the_way:
        pid = quarantine["holder"]["pid"]
        in_the_way = [Text(f"until pid {pid} has ended: the driver cannot tell who is on the GPU", "warn")]
    return [left_by, *in_the_way]


def _culprit(view: ProcessView) -> str:
    """How it belongs to the holder is said where that may be asked; `describe` says it of all."""
    return culprit(view) if view.get("tie") in DOUBTFUL else process(view)


def _strangers(gpu: GpuView) -> list[Text]:
    strangers: list[ProcessView] = [each for each in gpu["processes"] or () if each["relation"] == "foreign"]
    notes = [Text(f"without a lock: {process(each)}") for each in strangers[:_STRANGERS]]
    if len(strangers) > _STRANGERS:
        more = len(strangers) - _STRANGERS
        notes.append(Text(f"and {more} more: gpulockctl describe {gpu['index']}", "quiet"))
    return notes
