"""`gpulockctl top` on a real terminal: what it asks, what it shows, which keys it heeds, and how it leaves."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.pseudo_terminal import PseudoTerminal
from tests.support.waiting import PATIENCE, wait_until

from . import documents
from .peer import Peer

TOP = [sys.executable, "-m", "gpulockd.ctl", "top"]
ENTER, LEAVE = "\x1b[?1049h", "\x1b[?1049l"


@pytest.fixture
def busy(peer: Peer) -> Peer:
    peer.answers |= {"status": documents.busy(), "history": documents.history()}
    return peer


def on_terminal(peer: Peer, *arguments: str) -> PseudoTerminal:
    command = [*TOP, "--socket", str(peer.path), *arguments]
    return PseudoTerminal(command, environment={"NO_COLOR": "1", "TZ": "UTC"}, columns=120, rows=40)


@pytest.fixture
def top(busy: Peer) -> Iterator[PseudoTerminal]:
    with on_terminal(busy, "--interval", "30s") as terminal:
        terminal.wait_for("q quit")
        yield terminal


def modes(terminal: PseudoTerminal) -> list[Any]:
    return termios.tcgetattr(terminal._master.fileno())


def has_ended(peer: Peer, name: str, token: int, **more: object) -> None:
    data = {"lock": name, "token": token, "gpus": [documents.uuid(3)], "pid": 4242, "user": "zoe", "task": "sing"}
    data |= {"waited": 2.5, "held": 61.5, "how": "released", "by": "", **more}
    peer.happen("lock.ended", "", "debug", documents.NOON, **data)


def test_it_shows_gpus_waiters_and_what_ended(busy: Peer) -> None:
    with on_terminal(busy) as terminal:
        terminal.wait_for("HOLDER")
        terminal.wait_for("WAITING")
        terminal.wait_for("WITHOUT|ENDED")
        terminal.wait_for("L3-19")
        terminal.wait_for("q quit")
        terminal.enter("q")
        assert terminal.end() == 0
    assert terminal.output.count(ENTER) == 1
    assert terminal.output.rstrip().endswith(LEAVE)


def test_an_end_is_shown_from_its_event_and_asks_for_no_history(busy: Peer, top: PseudoTerminal) -> None:
    assert busy.count("history") == 1
    has_ended(busy, "L3-99", 12_884_901_999)
    top.wait_for("L3-99 .* zoe .* sing .* 1m01s")
    has_ended(busy, "L3-19", documents.history()["locks"][0]["token"])  # it was in the history already
    has_ended(busy, "L3-98", 12_884_901_998, how="died")
    top.wait_for("L3-98 .* died")
    top.wait_for("q quit")
    assert busy.count("history") == 1
    frame = re.findall(r"(?s)\x1b\[H(.*?q quit)", top.output)[-1]
    # It is in one row; the GPU that it left behind names it too.
    assert frame.replace("after lock L3-19", "").count("L3-19") == 1


def test_it_asks_again_when_something_happens_and_else_only_now_and_then(busy: Peer, top: PseudoTerminal) -> None:
    top.wait_for(documents.LATER)  # the clocks run by themselves
    assert busy.count("status") == 1
    busy.answers["status"] = documents.idle()
    busy.happen("gpu.cleared", "GPU 2 is clear")
    top.wait_for("nobody waits")
    assert busy.count("status") <= 3


def test_load_and_memory_are_asked_for_now_and_then(busy: Peer) -> None:
    with on_terminal(busy, "--interval", "0.5") as terminal:
        busy.wait_for("status", 3)
        terminal.enter("q")
        assert terminal.end() == 0


def test_the_order_changes_with_a_key(top: PseudoTerminal) -> None:
    top.enter("s")
    top.wait_for("now by load")
    top.enter("ss")
    top.wait_for("now by held")
    top.enter("x")  # no key of ours
    top.enter("s")
    top.wait_for("now by index")


def test_ctrl_c_ends_it_as_q_does(top: PseudoTerminal) -> None:
    before = modes(top)
    assert not before[3] & (termios.ECHO | termios.ICANON)
    top.press("C")
    assert top.end() == 0
    assert top.output.rstrip().endswith(LEAVE)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 0)])
def test_the_terminal_is_given_back_as_it_was(top: PseudoTerminal, number: int, code: int) -> None:
    single_keys = termios.ECHO | termios.ICANON
    theirs = os.open(f"/proc/{top.process.pid}/fd/0", os.O_RDWR | os.O_NOCTTY)  # it outlives the command so
    try:
        assert not termios.tcgetattr(theirs)[3] & single_keys
        os.kill(top.process.pid, number)
        assert top.end() == code
        assert termios.tcgetattr(theirs)[3] & single_keys == single_keys
    finally:
        os.close(theirs)
    assert top.output.rstrip().endswith(LEAVE)
    assert "Traceback" not in top.output


def test_ctrl_z_gives_it_back_for_as_long_as_it_lasts(top: PseudoTerminal) -> None:
    os.kill(top.process.pid, signal.SIGTSTP)
    top.wait_for(LEAVE.replace("[", r"\[").replace("?", r"\?"))
    wait_until(lambda: stopped(top.process.pid), "it is stopped")
    assert modes(top)[3] & termios.ECHO
    os.kill(top.process.pid, signal.SIGCONT)
    top.wait_for(ENTER.replace("[", r"\[").replace("?", r"\?"))
    top.wait_for("q quit")
    top.enter("q")
    assert top.end() == 0


def stopped(pid: int) -> bool:
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rpartition(")")[2].split()[0] == "T"


def test_it_waits_for_a_daemon_that_goes_away_and_q_still_quits(busy: Peer, top: PseudoTerminal) -> None:
    busy.path.rename(busy.path.with_suffix(".away"))
    busy.hang_up()
    top.wait_for("Trying again")
    top.enter("q")
    assert top.end() == 0


def test_without_a_daemon_it_is_an_error_like_any(peer: Peer) -> None:
    peer.path.unlink()
    with on_terminal(peer) as terminal:
        terminal.wait_for("gpulockctl doctor")
        assert terminal.end() == 69


@pytest.mark.parametrize(("arguments", "why"), [([], "this is none"), (["--json"], "no JSON")])
def test_where_there_is_no_terminal_it_says_what_to_type_instead(busy: Peer, arguments: list[str], why: str) -> None:
    done = subprocess.run(
        [*TOP, "--socket", str(busy.path), *arguments], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert why in done.stderr
    assert "gpulockctl status --watch --json" in done.stderr
    assert busy.asked == []
