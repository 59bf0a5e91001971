"""One event as one line."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from .text import Style, Text

if TYPE_CHECKING:
    from gpulock.documents import EventView

_STYLES: dict[str, Style] = {"debug": "quiet", "warning": "warn", "error": "bad"}
_KIND_WIDTH = 18


def line(event: EventView) -> Text:
    severity = event["severity"].lower()
    moment = time.strftime("%H:%M:%S", time.localtime(event["at"]))
    return (
        Text(f"{moment}  ", "quiet")
        + Text(f"{severity:<7}  ", _STYLES.get(severity, ""))
        + Text(event["kind"]).fill(max(_KIND_WIDTH, Text(event["kind"]).width))
        + f"  {event['message']}"
    )
