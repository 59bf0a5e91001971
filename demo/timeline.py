"""Tells what the diaries say, line by line, as it happens."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from typing import TextIO

from .diary import Entry, now

RED, GREEN, YELLOW, BLUE, DIM, BOLD = "31", "32", "33", "36", "2", "1"
MOST_SENTENCES = 12
NAME_WIDTH, WHAT_WIDTH, GPU_WIDTH = 12, 34, 9


class Timeline:
    """Lines of: elapsed seconds, who, what, on which GPU, under which token."""

    def __init__(self, origin: float, out: TextIO | None = None) -> None:
        """`origin`: the moment that counts as 0, on the diaries' clock."""
        self._origin = origin
        self._out = out or sys.stdout
        self._colour = self._out.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
        self._asked: dict[str, float] = {}
        self._began: dict[int, float] = {}
        self._gpus: dict[int, list[int]] = {}
        self._daemon_died = 0.0

    def head(self) -> None:
        self._write(f"{'seconds':>8}  {'who':<{NAME_WIDTH}} {'what':<{WHAT_WIDTH}} {'GPU':<{GPU_WIDTH}} token", DIM)

    def tell(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            self._tell(entry)

    def say(self, who: str, what: str) -> None:
        """Something of this moment that no diary has."""
        self._line(now(), who, what, colour=BLUE)

    def block(self, title: str, text: str) -> None:
        """Somebody else's output, set apart."""
        self._write("")
        self._write(f"  $ {title}", BOLD)
        for line in text.splitlines():
            self._write(f"  {line}")
        self._write("")

    def verdict(self, title: str, sentences: Sequence[str], *, good: bool) -> None:
        sign, colour = ("✓", GREEN) if good else ("✗", RED)
        self._write(f"\n{title}", BOLD)
        for sentence in sentences[:MOST_SENTENCES]:
            self._write(f"  {sign} {sentence}", colour)
        if len(sentences) > MOST_SENTENCES:
            self._write(f"  {sign} and {len(sentences) - MOST_SENTENCES} more", colour)

    def _tell(self, entry: Entry) -> None:
        facts, at = entry.facts, entry.at
        match entry.what:
            case "want":
                self._asked[entry.who] = at
            case "got":
                token, gpus = facts["token"], facts["gpus"]
                self._began[token], self._gpus[token] = at, gpus
                waited = at - self._asked.get(entry.who, at)
                self._line(at, entry.who, f"granted, waited {waited:.2f} s", gpus, token, GREEN)
            case "kept" if self._began.get(facts["token"], at) < self._daemon_died < facts["asked"]:
                token = facts["token"]
                self._line(at, entry.who, "still has its lock", self._gpus[token], token, BLUE)
            case "left":
                token = facts["token"]
                held = at - self._began.get(token, at)
                self._line(at, entry.who, f"released, held {held:.2f} s", self._gpus.get(token, ()), token)
            case "refused" if facts["code"] == "wait-timeout":
                waited = at - self._asked.get(entry.who, at)
                self._line(at, entry.who, f"gave up after {waited:.2f} s", colour=YELLOW)
            case "refused":
                self._line(at, entry.who, f"refused: {facts['why']}", colour=RED)
            case "denied":
                self._line(at, entry.who, f"lost its lock: {facts['why']}", colour=RED)
            case "kills":
                self._line(at, entry.facts["victim"], "kill -9", colour=RED)
            case "down":
                self._daemon_died = at
                self._line(at, "daemon", "is dead", colour=RED)
            case "up":
                self._line(at, "daemon", "serves", colour=BLUE)

    def _line(
        self, at: float, who: str, what: str, gpus: Iterable[int] = (), token: int | None = None, colour: str = ""
    ) -> None:
        where = " + ".join(map(str, gpus))
        line = f"{at - self._origin:8.2f}  {who:<{NAME_WIDTH}} {what:<{WHAT_WIDTH}} {where:<{GPU_WIDTH}} {token or ''}"
        self._write(line.rstrip(), colour)

    def _write(self, text: str, colour: str = "") -> None:
        painted = f"\x1b[{colour}m{text}\x1b[0m" if self._colour and colour else text
        print(painted, file=self._out, flush=True)
