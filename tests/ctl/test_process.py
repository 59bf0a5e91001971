"""gpulockctl as a process: what it imports, how it streams, and how it leaves a terminal."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from typing import Any, Self

import pytest

from tests.support import processes
from tests.support.waiting import PATIENCE, wait_until

from . import documents
from .peer import Peer

CTL = [sys.executable, "-m", "gpulockd.ctl"]
ENTER, LEAVE = "\x1b[?1049h", "\x1b[?1049l"


@pytest.fixture
def busy(peer: Peer) -> Peer:
    peer.answers["status"] = documents.busy()
    return peer


def start(peer: Peer, *arguments: str, **options: Any) -> subprocess.Popen[str]:
    return processes.start([*CTL, *arguments, "--socket", str(peer.path)], **options)


class Terminal:
    """gpulockctl on a terminal of 24 lines and 80 columns, and everything that it wrote there."""

    def __init__(self, peer: Peer, *arguments: str) -> None:
        self._ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (24, 80))
        self.process = start(peer, *arguments, stdin=theirs, stdout=theirs, environment={"TERM": "xterm"})
        os.close(theirs)
        self._bytes = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        processes.end(self.process)
        os.close(self._ours)

    @property
    def seen(self) -> str:
        return self._bytes.decode(errors="ignore")  # a read may end within a character

    def shows(self, pattern: str) -> str:
        """Waits until something like `pattern` is on the screen; returns the screen."""

        def seen() -> str:
            screen = self.screen()
            return screen if re.search(pattern, screen) else ""

        return wait_until(seen, lambda: f"{pattern!r} in:\n{self.screen()}")

    def screen(self) -> str:
        """The last whole picture, without its escape sequences."""
        self._read()
        pictures = self.seen.split("\x1b[H")
        whole = [each for each in pictures if "\x1b[0J" in each]
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", whole[-1]) if whole else ""

    def left(self) -> int:
        """Its exit code, when it has left and all it wrote is seen."""
        code = self.process.wait(PATIENCE)
        self._read()
        return code

    def _read(self) -> None:
        while select.select([self._ours], [], [], 0)[0]:
            try:
                self._bytes += os.read(self._ours, 1 << 16)
            except OSError:  # the other end is closed
                return


@pytest.fixture
def watching(busy: Peer) -> Iterator[Terminal]:
    with Terminal(busy, "status", "--watch") as terminal:
        terminal.shows("quarantined")
        yield terminal


def test_status_imports_nothing_slow(busy: Peer) -> None:
    """Most of what `status` takes is imports; 150 ms is the limit on a quiet machine, and this is what keeps it."""
    script = f"""
import sys
from gpulockd.ctl.__main__ import main
code = main(["status", "--socket", {str(busy.path)!r}])
print(code, *sys.modules, file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    code, *modules = done.stderr.split()
    assert code == "0"
    slow = {"asyncio", "rich", "dataclasses", "inspect", "pathlib", "subprocess", "importlib.metadata", "json"}
    assert not slow & set(modules)
    ours = {name for name in modules if name.startswith("gpulockd.") and not name.startswith("gpulockd.ctl")}
    assert ours <= {"gpulockd.version"}


def test_a_reader_that_leaves_ends_it_without_a_word(busy: Peer) -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as closed:
        process = start(busy, "status", stdout=closed)
    with process:
        _, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err) == (141, "")


def test_events_are_shown_as_they_happen(peer: Peer) -> None:
    with start(peer, "events", "--kind", "gpu.*", "--count", "2", environment={"TZ": "UTC"}) as process:
        peer.happen("lock.granted", "is not asked for")
        peer.happen("gpu.drained", "GPU 3 is drained", "warning", documents.NOON)
        assert process.stdout is not None
        assert process.stdout.readline() == "12:00:00  warning  gpu.drained         GPU 3 is drained\n"
        peer.happen("gpu.undrained", "GPU 3 is back")
        out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err) == (0, "")
    assert out.endswith("GPU 3 is back\n")


def test_events_as_json_are_one_document_a_line(peer: Peer) -> None:
    with start(peer, "events", "--json", "--count", "1") as process:
        peer.happen("gpu.drained", "GPU 3 is drained")
        out, _ = process.communicate(timeout=PATIENCE)
    (line,) = out.splitlines()
    assert json.loads(line)["kind"] == "gpu.drained"
    assert json.loads(line)["schema_version"] == 1


def test_events_end_with_69_when_the_daemon_goes_and_130_on_ctrl_c(peer: Peer) -> None:
    with start(peer, "events") as process:
        peer.wait_for("watch", 1)
        peer.hang_up()
        _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 69
    assert str(peer.path) in err

    with start(peer, "events") as process:
        peer.wait_for("watch", 2)
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=PATIENCE) == ("", "")
    assert process.returncode == 130


def test_watch_redraws_when_something_happens(busy: Peer, watching: Terminal) -> None:
    assert watching.seen.count(ENTER) == 1
    busy.answers["status"] = documents.idle()
    busy.happen("gpu.cleared", "GPU 2 is clear")
    screen = watching.shows("nobody waits")
    assert "quarantined" not in screen
    assert "\x1b[33m" in watching.seen


def test_watch_asks_nothing_while_nothing_happens_yet_its_clocks_run(busy: Peer, watching: Terminal) -> None:
    watching.shows(documents.LATER)
    assert busy.count("status") == 1


def test_watch_takes_a_storm_of_events_in_few_questions(busy: Peer, watching: Terminal) -> None:
    began = time.monotonic()
    for _ in range(500):
        busy.happen("lock.granted", "again")
    busy.answers["status"] = documents.idle()
    busy.happen("gpu.cleared", "the last one")
    watching.shows("nobody waits")
    assert busy.count("status") <= 3 + 4 * (time.monotonic() - began)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_watch_gives_the_terminal_back(watching: Terminal, number: int, code: int) -> None:
    watching.process.send_signal(number)
    assert watching.left() == code
    assert watching.seen.endswith(LEAVE)
    assert "Traceback" not in watching.seen


def test_watch_cuts_what_is_too_high(busy: Peer, watching: Terminal) -> None:
    busy.answers["status"] = documents.crowded()
    busy.happen("lock.granted", "64 GPUs appear")
    lines = watching.shows("57 held").split("\r\n")
    assert len(lines) == 24
    assert re.fullmatch(r"and 6\d more lines; this window is too low", lines[-1])


def test_watch_waits_for_a_daemon_that_goes_away(busy: Peer, watching: Terminal) -> None:
    busy.answers["status"] = documents.idle()
    busy.hang_up()
    watching.shows("nobody waits")  # it is back, and was asked again


def test_watch_says_so_while_the_daemon_is_away(busy: Peer, watching: Terminal) -> None:
    busy.path.rename(busy.path.with_suffix(".away"))
    busy.hang_up()
    screen = watching.shows(r"Trying again\.")
    assert "As it was" in screen
    assert "anna" in screen
    busy.path.with_suffix(".away").rename(busy.path)
    wait_until(lambda: "Trying again" not in watching.screen(), "the notice goes away again")


def test_watch_without_a_daemon_is_an_error_and_leaves_the_screen(peer: Peer) -> None:
    peer.path.unlink()
    with Terminal(peer, "status", "--watch") as terminal:
        assert terminal.left() == 69
        assert terminal.seen.endswith(LEAVE)
        assert terminal.process.stderr is not None
        assert "gpulockctl doctor" in terminal.process.stderr.read()


def test_watch_into_a_pipe_is_a_document_after_each_change(busy: Peer) -> None:
    with start(busy, "status", "--watch", "--json") as process:
        assert process.stdout is not None
        assert len(json.loads(process.stdout.readline())["queue"]) == 3
        busy.answers["status"] = documents.idle()
        busy.happen("gpu.cleared", "GPU 2 is clear")
        assert json.loads(process.stdout.readline())["queue"] == []
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 130


def test_watch_into_a_pipe_is_a_picture_after_each_change(busy: Peer) -> None:
    with start(busy, "status", "--watch") as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("gpu-07")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)
        assert "\x1b" not in out
        assert err == ""
