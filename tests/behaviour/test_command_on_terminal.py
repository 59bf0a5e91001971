"""`gpulock -- CMD` on a terminal: who has the keyboard, what Ctrl-C and Ctrl-Z do, what a wait looks like."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.support.daemon import Daemon
from tests.support.frames import Frames
from tests.support.pseudo_terminal import PseudoTerminal
from tests.support.waiting import wait_until

from .test_command import GPULOCK, locks
from .test_locks import waiting

pytestmark = pytest.mark.system

OnTerminal = Callable[..., PseudoTerminal]
# A signal does not end the program that a dash is just starting by vfork, so no `sh` here starts any.
CATCHES = ["bash", "-c", "trap 'echo caught; exit 5' INT; echo ready; while :; do sleep 0.05; done"]
SLEEPS = ["sh", "-c", "echo ready; exec sleep 600"]


@pytest.fixture
def on_terminal(daemon: Daemon) -> Iterator[OnTerminal]:
    """Runs a program on a terminal of its own, by default a shell that waits for its first line."""
    environment = {"GPULOCK_SOCKET": daemon.socket, "GPULOCK": " ".join(GPULOCK), "PS1": "shell> "}
    with ExitStack() as terminals:

        def start(*command: str) -> PseudoTerminal:
            screen = PseudoTerminal(
                list(command or ("bash", "--norc", "--noprofile", "-i")), environment=environment, columns=100
            )
            terminals.enter_context(screen)
            if not command:
                screen.wait_for("shell> ")
            return screen

        yield start


@pytest.fixture
def taken(daemon: Daemon) -> Iterator[Frames]:
    """Somebody has every GPU."""
    with closing(Frames(daemon.socket)) as holder:
        holder.call("acquire", gpus=3, task="training")
        yield holder


class TestTheWait:
    def test_shows_place_and_holder_and_leaves_no_trace(
        self, on_terminal: OnTerminal, daemon: Daemon, taken: Frames
    ) -> None:
        screen = on_terminal(*GPULOCK, "--", "echo", "granted")
        screen.wait_for(
            r"\r\x1b\[K\x1b\[2mgpulock: waiting \d\.\ds for a GPU: next in line; "
            r"GPU 0: root \(pid \d+, training\) for \d\.\ds"
        )
        screen.wait_for(r"\r\x1b\[K\x1b\[2mgpulock: waiting [1-9](\.\d)?s for")  # redrawn in place, every second
        with closing(Frames(daemon.socket)) as other:
            other.send("acquire", priority=5, notify=["queued"])
            screen.wait_for("waiting .* for a GPU: 1 ahead")
        screen.wait_for("waiting .* for a GPU: next in line")
        assert "\n" not in screen.output
        taken.call("release")
        screen.wait_for(r"\r\x1b\[Kgranted\r\n$")
        assert screen.end() == 0

    def test_is_ended_by_ctrl_c(self, on_terminal: OnTerminal, daemon: Daemon, taken: Frames) -> None:
        screen = on_terminal(*GPULOCK, "--", "true")
        screen.wait_for("waiting")
        screen.press("C")
        assert screen.end() == 128 + signal.SIGINT
        assert screen.output.endswith("\r\x1b[K")
        wait_until(lambda: waiting(daemon) == 0, "the request is gone")

    def test_is_ended_by_the_end_of_the_terminal(self, on_terminal: OnTerminal, daemon: Daemon, taken: Frames) -> None:
        screen = on_terminal(*GPULOCK, "--", "true")
        screen.wait_for("waiting")
        screen.hang_up()
        assert screen.end() == 128 + signal.SIGHUP
        wait_until(lambda: waiting(daemon) == 0, "the request is gone")

    def test_is_none_where_none_is_wanted(self, on_terminal: OnTerminal, taken: Frames) -> None:
        screen = on_terminal(*GPULOCK, "-n", "--", "true")
        assert screen.end() == 75
        assert screen.output.startswith("gpulock: ")
        assert "waiting" not in screen.output


class TestWithoutAShell:
    def test_the_command_has_the_keyboard(self, on_terminal: OnTerminal) -> None:
        screen = on_terminal(*GPULOCK, "--", "sh", "-c", "echo pid:$$; read line; echo got:$line")
        command = int(screen.wait_for(r"pid:(\d+)\r\n")[1])
        assert screen.foreground() == command != screen.process.pid
        screen.enter("hello\n")
        screen.wait_for("got:hello")
        assert screen.end() == 0

    @pytest.mark.parametrize(("command", "status"), [(CATCHES, 5), (SLEEPS, 130)])
    def test_ctrl_c_goes_to_the_command(
        self, on_terminal: OnTerminal, daemon: Daemon, command: list[str], status: int
    ) -> None:
        screen = on_terminal(*GPULOCK, "--", *command)
        screen.wait_for("ready\r\n")
        screen.press("C")
        assert screen.end() == status
        assert locks(daemon) == []

    def test_ctrl_z_stops_nothing(self, on_terminal: OnTerminal) -> None:
        screen = on_terminal(*GPULOCK, "--", "sh", "-c", "echo ready; read line; echo got:$line")
        screen.wait_for("ready\r\n")
        screen.press("Z")
        screen.wait_for(r"\^Z")
        screen.enter("hello\n")
        screen.wait_for("got:hello")
        assert screen.end() == 0

    def test_the_end_of_the_terminal_ends_the_command(self, on_terminal: OnTerminal, daemon: Daemon) -> None:
        screen = on_terminal(*GPULOCK, "--", *SLEEPS)
        screen.wait_for("ready\r\n")
        screen.hang_up()
        assert screen.end() == 128 + signal.SIGHUP
        assert locks(daemon) == []


class TestInAShell:
    def test_the_shell_has_the_keyboard_again_at_the_end(self, on_terminal: OnTerminal) -> None:
        screen = on_terminal()
        screen.enter("$GPULOCK -- sh -c 'read line; echo got:$line; exit 3'\n")
        screen.enter("hello\n")
        screen.wait_for("got:hello\r\n")
        screen.wait_for("shell> ")
        screen.enter("echo status:$?\n")
        screen.wait_for("status:3\r\n")

    def test_ctrl_c_goes_to_the_command_alone(self, on_terminal: OnTerminal, daemon: Daemon) -> None:
        screen = on_terminal()
        screen.enter(f'$GPULOCK -- bash -c "{CATCHES[-1]}"\n')
        screen.wait_for("ready\r\n")
        screen.press("C")
        screen.wait_for("caught\r\n")
        screen.wait_for("shell> ")
        screen.enter("echo status:$?\n")
        screen.wait_for("status:5\r\n")
        assert locks(daemon) == []

    def test_ctrl_z_stops_both_and_fg_continues_both(self, on_terminal: OnTerminal, daemon: Daemon) -> None:
        screen = on_terminal()
        screen.enter("$GPULOCK -- sh -c 'echo ready; read line; echo got:$line'\n")
        screen.wait_for("ready\r\n")
        screen.press("Z")
        screen.wait_for("Stopped")
        screen.wait_for("shell> ")
        assert len(locks(daemon)) == 1  # it is only stopped
        screen.enter("fg\n")
        wait_until(lambda: screen.foreground() != screen.process.pid, "the shell has made way")
        screen.enter("again\n")
        screen.wait_for("got:again\r\n")
        screen.wait_for("shell> ")
        assert locks(daemon) == []

    def test_a_job_in_the_background_leaves_the_keyboard_to_it(self, on_terminal: OnTerminal, daemon: Daemon) -> None:
        screen = on_terminal()
        screen.enter("$GPULOCK -- sh -c 'echo ready; exec sleep 600' &\n")
        screen.wait_for("ready\r\n")
        screen.enter("echo mine:$((6*7))\n")
        screen.wait_for("mine:42\r\n")
        assert len(locks(daemon)) == 1
        screen.enter("fg\n")
        wait_until(lambda: screen.foreground() != screen.process.pid, "the shell has made way")
        screen.press("C")
        screen.wait_for("shell> ")
        screen.enter("echo status:$?\n")
        screen.wait_for("status:130\r\n")
        assert locks(daemon) == []

    def test_a_job_that_was_brought_to_the_foreground_has_it(self, on_terminal: OnTerminal, tmp_path: Path) -> None:
        """A shell does not tell a job that runs already that it is in the foreground now."""
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        screen = on_terminal()
        screen.enter(f"$GPULOCK -- sh -c 'echo ready; read go < {pipe}; read line; echo got:$line' &\n")
        screen.wait_for("ready\r\n")
        screen.enter("fg\n")
        wait_until(lambda: screen.foreground() != screen.process.pid, "the shell has made way")
        pipe.write_text("go\n")
        screen.enter("hello\n")
        screen.wait_for("got:hello\r\n")

    def test_the_end_of_the_terminal_ends_the_command(self, on_terminal: OnTerminal, daemon: Daemon) -> None:
        screen = on_terminal()
        screen.enter("$GPULOCK -- sh -c 'echo ready; exec sleep 600'\n")
        screen.wait_for("ready\r\n")
        screen.hang_up()
        wait_until(lambda: not locks(daemon), "the lock is released")
