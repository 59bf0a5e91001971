"""Why something stands as it does, and what could be typed next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .look import Look
from .text import Text

if TYPE_CHECKING:
    from gpulock.documents import WhyDocument


def picture(document: WhyDocument, look: Look) -> list[Text]:
    reasons = dict.fromkeys(document["reasons"])  # two GPUs of one lock have one reason
    lines = [line for reason in reasons for line in _hanging(reason, look.width)]
    if document["next"]:
        lines += [Text(), Text("Next:", "quiet"), *(Text(f"  {command}") for command in document["next"])]
    return lines


def _hanging(reason: str, width: int) -> list[Text]:
    lines = Text(reason).wrap(width - 2)
    return [Text("· " if place == 0 else "  ", "quiet") + line for place, line in enumerate(lines)]
