"""What the doctor found, one line each, and what to do about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .amounts import count
from .look import Look
from .text import Style, Text, join

if TYPE_CHECKING:
    from ..doctor.finding import Finding, State

_STYLES: dict[State, Style] = {"ok": "good", "warn": "warn", "fail": "bad", "skip": "quiet"}
_STATE_WIDTH = 4


def picture(findings: Sequence[Finding], look: Look) -> list[Text]:
    checks = max(len(finding.check) for finding in findings)
    indent = _STATE_WIDTH + 2 + checks + 2
    lines = []
    for finding in findings:
        head = Text(finding.state, _STYLES[finding.state]).fill(_STATE_WIDTH + 2) + f"{finding.check:<{checks + 2}}"
        for part in Text(finding.message, "quiet" if finding.state == "skip" else "").wrap(look.width - indent):
            lines.append(head + part)
            head = Text(" " * indent)
        if finding.next:
            todo = Text(finding.next, "strong").wrap(look.width - indent - 2)
            lines += [head + Text("→ " if place == 0 else "  ", "quiet") + part for place, part in enumerate(todo)]
    return [*lines, Text(), _summary(findings)]


def _summary(findings: Sequence[Finding]) -> Text:
    counts = Counter(finding.state for finding in findings)
    return join(
        ", ",
        [
            Text(f"{counts['ok']} ok", "good"),
            Text(count(counts["warn"], "warning") if counts["warn"] else "", "warn"),
            Text(count(counts["fail"], "failure") if counts["fail"] else "", "bad"),
            Text(f"{counts['skip']} not looked at" if counts["skip"] else "", "quiet"),
        ],
    )
