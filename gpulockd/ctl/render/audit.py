"""What an audit found: each finding with its place, what stands there, what is true, and what to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .amounts import count
from .look import Look
from .text import Text

if TYPE_CHECKING:
    from ...audit import Outcome


def as_document(outcome: Outcome) -> Mapping[str, Any]:
    return {
        "files": outcome.files,
        "findings": [
            {
                "rule": finding.rule,
                "file": finding.place.file,
                "line": finding.place.line,
                "column": finding.place.column,
                "says": finding.says,
                "truth": finding.truth,
                "origin": finding.origin,
                "hint": finding.hint,
                "fixable": finding.edit is not None,
            }
            for finding in outcome.findings
        ],
    }


def picture(outcome: Outcome, look: Look) -> list[Text]:
    lines = []
    for finding in outcome.findings:
        lines.append(Text(str(finding.place), "strong") + ": " + finding.message + Text(f"  {finding.rule}", "quiet"))
        if finding.hint:
            lines += [Text("    ") + part for part in Text(finding.hint, "quiet").wrap(look.width - 4)]
    return [*lines, *([Text()] if lines else []), _summary(outcome)]


def _summary(outcome: Outcome) -> Text:
    looked_at = count(outcome.files, "file")
    if not outcome.findings:
        return Text(f"nothing found in {looked_at}", "good")
    rules = Counter(finding.rule for finding in outcome.findings)
    told = ", ".join(f"{number} {rule}" for rule, number in rules.most_common())
    return Text(f"{count(len(outcome.findings), 'finding')} in {looked_at}: {told}", "bad")
