"""The picture of `top`: GPUs and who waits, what ended last, and the keys, within the height of the window."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from . import history
from .look import Look
from .masthead import masthead
from .status import WIDEST, tables
from .text import Text

if TYPE_CHECKING:
    from gpulock.documents import EndedView, GpuView, StatusDocument

_FEWEST_ENDS = 4
"""Lines that the ends get, with their titles, however many GPUs there are."""


def _held_for(status: StatusDocument) -> Mapping[str, float]:
    return {lock["id"]: lock["held_for"] for lock in status["locks"]}


_KEYS: Mapping[str, Callable[[GpuView, Mapping[str, float]], float]] = {
    "index": lambda gpu, _: gpu["index"],
    "load": lambda gpu, _: -(gpu["utilization"] or 0.0),
    "memory": lambda gpu, _: -(gpu["memory_used"] or 0),
    "held": lambda gpu, held: -held.get(gpu["lock"] or "", -1.0),
}
ORDERS = tuple(_KEYS)


def picture(status: StatusDocument, ends: Sequence[EndedView], look: Look, order: str, now: float) -> list[Text]:
    """`ends` the latest first, `order` one of `ORDERS`, `now` by the wall clock."""
    width = min(look.width, WIDEST)
    held = _held_for(status)
    gpus = sorted(status["gpus"], key=lambda gpu: (_KEYS[order](gpu, held), gpu["index"]))
    indices = {gpu["uuid"]: gpu["index"] for gpu in gpus}
    head = [*masthead(status, width), Text()]
    body = tables({**status, "gpus": gpus}, width)
    past = [Text(), *history.ends(ends, width, indices, now)] if ends else []
    foot = Text(f"q quit · s sort, now by {order}", "quiet")
    if look.height is None:
        return [*head, *body, *past, Text(), foot]
    room = look.height - len(head) - 1
    past = past[: max(room - len(body), min(_FEWEST_ENDS, len(past)))]
    body = _cut(body, max(1, room - len(past)))
    blank = [Text()] * (room - len(body) - len(past))
    return [*head, *body, *past, *blank, foot]


def _cut(lines: list[Text], height: int) -> list[Text]:
    if len(lines) <= height:
        return lines
    return [*lines[: height - 1], Text(f"and {len(lines) - height + 1} more lines", "quiet")]
