"""Suppressions carry a reason, and one that suppresses nothing is a finding."""

from __future__ import annotations

import pytest

from .marked import Workshop

TABLE = "| key | value |\n|---|---|\n| `poll_interval` | 9 |\n"
TEXTS = {
    "before its block": (f"<!-- audit: ignore value-in-table measured on the old host -->\n\n{TABLE}", []),
    "in its paragraph": (
        "`poll_interval` is\n9 seconds <!-- audit: ignore value-in-prose, the joke is explained below -->.\n",
        [],
    ),
    "of the whole file": (f"{TABLE}\n<!-- audit: ignore-file value-in-table: an old guide -->\n", []),
    "a block too far": (
        f"<!-- audit: ignore value-in-table because -->\n\nA paragraph.\n\n{TABLE}",
        ["suppression-unused:1", "value-in-table:7"],
    ),
    "without a reason": (
        f"<!-- audit: ignore value-in-table -->\n\n{TABLE}",
        ["suppression-unreasoned:1", "value-in-table:5"],
    ),
    "of no rule": (
        f"<!-- audit: ignore value-in-tables because -->\n\n{TABLE}",
        ["suppression-unknown:1", "value-in-table:5"],
    ),
    "some other comment": (f"<!-- audit this one day -->\n\n{TABLE}", ["value-in-table:5"]),
}


@pytest.mark.parametrize(("text", "expected"), TEXTS.values(), ids=TEXTS)
def test_what_is_left(workshop: Workshop, text: str, expected: list[str]) -> None:
    workshop.write("guide.md", text)
    assert [f"{each.rule}:{each.place.line}" for each in workshop.audit().findings] == expected


def test_a_rule_that_is_off_needs_no_suppression(workshop: Workshop) -> None:
    workshop.write("guide.md", f"<!-- audit: ignore value-in-table because -->\n\n{TABLE}")
    assert workshop.audit(rules="off: [value-in-table]\n").findings == []
