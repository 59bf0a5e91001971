"""Processes and owners in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .amounts import gib
from .text import Text

if TYPE_CHECKING:
    from gpulock.documents import OwnerView, ProcessView

_LONGEST_USER = 12
_DIGITS = 8
"""Of a UUID, enough to tell GPUs apart."""


def user_of(owner: OwnerView) -> str:
    return owner["user"] or f"uid {owner['uid']}"


def user_width(owners: list[OwnerView]) -> int:
    """How wide a column of user names gets."""
    return min(_LONGEST_USER, max((Text(user_of(owner)).width for owner in owners), default=0))


def holder(owner: OwnerView, width: int) -> Text:
    """User and pid; the pids of a column stand under each other."""
    return Text(user_of(owner), "strong").fill(width) + f" {owner['pid']:>6}"


def person(owner: OwnerView) -> str:
    """`anna, pid 48213 (python train.py)`"""
    command = f" ({owner['command']})" if owner["command"] else ""
    inside = f" in container {owner['container']}" if owner["container"] else ""
    return f"{user_of(owner)}, pid {owner['pid']}{command}{inside}"


def process(view: ProcessView) -> str:
    """`pid 49917 of carol (python), 22 GiB`"""
    command = f" ({view['command']})" if view["command"] else ""
    of = f" of {view['user']}" if view["user"] else ""
    inside = f" in container {view['container']}" if view["container"] else ""
    memory = f", {gib(view['memory'])} GiB" if view["memory"] is not None else ""
    return f"pid {view['pid']}{of}{command}{inside}{memory}"


DOUBTFUL = ("cgroup", "unknown")
"""Ties that are presumed."""
_TIES = {
    "process": "the holder itself",
    "descent": "descends from the holder",
    "session": "in the holder's session",
    "group": "in the holder's process group",
    "cgroup": "in the holder's control group: not ended",
    "unknown": "cannot be looked at",
}


def culprit(view: ProcessView) -> str:
    """`pid 49917 of carol (python), 22 GiB, descends from the holder`"""
    tie = _TIES.get(view.get("tie", ""))  # an older daemon does not say
    return process(view) + (f", {tie}" if tie else "")


def short_uuid(uuid: str) -> str:
    """`GPU-3f2a81c0`: enough to select it by, too."""
    kind, dash, rest = uuid.partition("-")
    return f"{kind}-{rest[:_DIGITS]}" if dash else uuid[: _DIGITS + 4]
