"""What a report says of itself to programs survives being written, and being damaged."""

from __future__ import annotations

import pytest

from gpulockd.evidence.statement import Statement, Tried, read, written

SAID = Statement(
    date="2026-11-28",
    command="gpulockctl bench --variant 'x=--> <!--'",
    version="0.1.0",
    baseline="poll-2",
    variants=(
        Tried("poll-2", "polling", {"gpu_lock.poll_interval": 2.0}, "baseline"),
        Tried("push", "daemon", {"gpu_lock.use_event_driven": True}, "passed", {"wait": "met"}),
    ),
)


def test_it_is_read_as_it_was_written() -> None:
    comment = written(SAID)
    assert read(f"# Report\n\n{comment}\n\nText --> of all kinds.") == SAID
    assert comment.count("-->") == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# A page",
        "<!-- evidence: {} -->",
        "<!-- evidence: {not json} -->",
        '<!-- evidence: {"variants": 3} -->',
        written(SAID).replace('"passed"', '"splendid"'),
        written(SAID).replace('"baseline": "poll-2"', '"base": "poll-2"'),
        written(SAID).replace("2.0", "[2.0]"),
    ],
)
def test_what_is_no_statement_is_none(text: str) -> None:
    assert read(text) is None
