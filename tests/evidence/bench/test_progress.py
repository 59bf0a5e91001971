"""How far a run is: a line that is drawn over on a terminal, quiet lines elsewhere."""

from __future__ import annotations

import io

from gpulockd.evidence.bench.progress import Progress
from tests.support.clock import SetClock


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(out: io.StringIO) -> str:
    clock = SetClock()
    with Progress(out, 100.0, clock.now) as progress:
        progress.block(0, "poll-2", 2)
        progress.task()
        clock.uptime += 50.0
        progress.block(0, "push", 2)
        progress.block(1, "push", 2)
        progress.task()
    return out.getvalue()


def test_on_a_terminal_one_line_is_drawn_over_and_left_empty() -> None:
    text = shown(Terminal())
    assert "\n" not in text
    assert text.endswith("\r\x1b[K")
    last = text.split("\r\x1b[K")[-2]
    assert last == "[############............] 50s of at most 1m 40s: round 2, push, 1 of 2 tasks"


def test_elsewhere_each_round_is_a_line() -> None:
    assert shown(io.StringIO()).splitlines() == ["round 1, 0.0s of at most 1m 40s", "round 2, 50s of at most 1m 40s"]
