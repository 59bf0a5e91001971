"""What a waiting `gpulock` shows."""

from __future__ import annotations

import os
import pty
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from gpulock import waiting_line
from gpulock.notices import Queued
from gpulock.signals import Interrupted
from gpulock.waiting_line import WaitingLine

HOLDER = {"gpu": 0, "lock": "L1-1", "user": "ann", "pid": 4711, "task": "ocr", "held_for": 125.0}


class Screen:
    """A terminal that the line is drawn on."""

    def __init__(self) -> None:
        self._master, slave = pty.openpty()
        os.set_blocking(self._master, False)  # whoever reads what was not drawn gets an error
        self.stream = open(slave, "w")  # noqa: SIM115  # closed by `close`
        self.columns = 80

    def drawn(self) -> str:
        return os.read(self._master, 65536).decode()

    def close(self) -> None:
        self.stream.close()
        os.close(self._master)


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Iterator[Screen]:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    screen = Screen()
    monkeypatch.setattr(waiting_line, "_width", lambda _stream: screen.columns)
    yield screen
    screen.close()


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    moment = [100.0]
    monkeypatch.setattr(waiting_line, "now", lambda: moment[0])
    return moment


def queued(ahead: int, *holders: dict[str, Any]) -> Queued:
    return Queued(ahead + 1, ahead, None, holders)


def test_place_holder_and_how_long(screen: Screen, time: list[float]) -> None:
    line = WaitingLine("a GPU", screen.stream)
    try:
        line.update(queued(2, HOLDER))
        expected = "gpulock: waiting 0.0s for a GPU: 2 ahead; GPU 0: ann (pid 4711, ocr) for 2m 05s"
        assert screen.drawn() == f"\r\x1b[K\x1b[2m{expected}\x1b[0m"
        time[0] += 65
        screen.columns = 120
        line._tick()
        told = screen.drawn()
        assert "waiting 1m 05s for a GPU: 2 ahead; GPU 0: ann (pid 4711, ocr) for 3m 10s" in told
        line.update(queued(0))
        assert "waiting 1m 05s for a GPU: next in line" in screen.drawn()
    finally:
        line.erase()
    assert screen.drawn() == "\r\x1b[K"


def test_a_line_that_was_never_drawn_is_not_erased(screen: Screen) -> None:
    WaitingLine("a GPU", screen.stream).erase()
    screen.stream.write("next")
    screen.stream.flush()
    assert screen.drawn() == "next"


def test_a_signal_that_comes_right_behind_the_drawing_leaves_no_trace(
    screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = WaitingLine("a GPU", screen.stream)
    write = os.write

    def write_and_be_interrupted(fd: int, data: bytes) -> int:
        write(fd, data)
        raise Interrupted(signal.SIGINT)

    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(os, "write", write_and_be_interrupted)
        line.update(queued(0))
    assert "next in line" in screen.drawn()
    line.erase()
    assert screen.drawn() == "\r\x1b[K"


@pytest.mark.parametrize("columns", [10, 20, 40, 79, 80, 200])
def test_it_never_wraps(screen: Screen, columns: int) -> None:
    screen.columns = columns
    line = WaitingLine("a GPU", screen.stream)
    try:
        line.update(queued(2, HOLDER, {**HOLDER, "gpu": 1, "user": "ジョン"}))
        text = screen.drawn().removeprefix("\r\x1b[K\x1b[2m").removesuffix("\x1b[0m")
        assert waiting_line._columns(text) < columns
    finally:
        line.erase()


def test_no_colour_where_none_is_wanted(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    line = WaitingLine("a GPU", screen.stream)
    try:
        line.update(queued(0))
        assert "\x1b[2m" not in screen.drawn()
    finally:
        line.erase()


def test_elsewhere_it_is_one_line_when_the_wait_begins(tmp_path: Any) -> None:
    with (tmp_path / "log").open("w") as stream:
        line = WaitingLine("2 GPUs", stream)
        line.update(queued(1, HOLDER))
        line.update(queued(0, HOLDER))
        line.erase()
    assert (tmp_path / "log").read_text() == (
        "gpulock: waiting for 2 GPUs: 1 ahead; GPU 0: ann (pid 4711, ocr) for 2m 05s\n"
    )


def test_a_dumb_terminal_is_no_place_to_draw(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    line = WaitingLine("a GPU", screen.stream)
    line.update(queued(0))
    line.erase()
    assert screen.drawn() == "gpulock: waiting for a GPU: next in line\r\n"


def test_a_terminal_that_went_away_does_no_harm(screen: Screen) -> None:
    line = WaitingLine("a GPU", screen.stream)
    os.close(screen._master)
    line.update(queued(0))
    line.update(queued(0))
    line.erase()
    screen._master = os.open(os.devnull, os.O_RDONLY)
